import { type Frames, Store } from "../frame";

/** Loss is what this browser did not take in: messages not understood, history cut short by the hub, devices beyond its limit. */
export type Loss = "bad" | "truncated" | "beyond";

export interface LossRow {
  kind: Loss;
  count: number;
  /** since and last are the hub's time of the first and the last, ms. */
  since: number;
  last: number;
}

/** LossStore is what was lost in this browser, beside what broker and hub say they have dropped. */
export class LossStore extends Store {
  readonly #now: () => number;
  readonly #rows = new Map<Loss, LossRow>();

  constructor(frames: Frames, now: () => number) {
    super(frames);
    this.#now = now;
  }

  get rows(): LossRow[] {
    return [...this.#rows.values()];
  }

  get total(): number {
    return this.rows.reduce((sum, { count }) => sum + count, 0);
  }

  /** note counts one more. */
  note(kind: Loss): void {
    this.reach(kind, (this.#rows.get(kind)?.count ?? 0) + 1);
  }

  /** reach takes a count that somebody else keeps; it never goes back. */
  reach(kind: Loss, count: number): void {
    const row = this.#rows.get(kind);
    if (count <= (row?.count ?? 0)) return;
    const last = this.#now();
    this.#rows.set(kind, { kind, count, since: row?.since ?? last, last });
    this.changed();
  }
}
