/** Task runs at the next animation frame. */
export type Task = () => void;

/**
 * Frames collects work for the next animation frame. It asks for one only when there is work, so an idle screen costs nothing;
 * a task requested many times before the frame runs once.
 */
export class Frames {
  readonly #schedule: (run: Task) => void;
  #due = new Set<Task>();
  #spare = new Set<Task>();
  #scheduled = false;

  constructor(schedule: (run: Task) => void = (run) => requestAnimationFrame(run)) {
    this.#schedule = schedule;
  }

  request(task: Task): void {
    this.#due.add(task);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(() => this.flush());
  }

  /** flush runs what is due now. Work requested meanwhile waits for the next frame. */
  flush(): void {
    this.#scheduled = false;
    const due = this.#due;
    this.#due = this.#spare;
    this.#spare = due;
    for (const task of due) task();
    due.clear();
  }
}

/**
 * Store is state that changes often: it carries a version number, and tells its listeners at most once a frame that
 * the number has moved. Listeners read what they need themselves.
 */
export class Store {
  readonly #frames: Frames;
  readonly #listeners = new Set<Task>();
  #version = 0;
  readonly #notify: Task = () => {
    for (const listener of this.#listeners) listener();
  };

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  get version(): number {
    return this.#version;
  }

  /** subscribe returns the function that ends the subscription. */
  subscribe(listener: Task): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  protected changed(): void {
    this.#version++;
    if (this.#listeners.size > 0) this.#frames.request(this.#notify);
  }
}
