export interface Toast {
  id: number;
  text: string;
}

const limit = 4;
const lifetime = 6_000;

/** Toasts are short notes that go by themselves; the oldest gives way to a new one. */
class Toasts {
  list = $state<Toast[]>([]);
  #nextId = 1;

  show(text: string): void {
    const id = this.#nextId++;
    this.list = [...this.list, { id, text }].slice(-limit);
    setTimeout(() => this.dismiss(id), lifetime);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
