import { type Frames, Store } from "../frame";
import type { Event, Frame, Gap } from "../wire/types";

/** Rows that a tail keeps. */
export const tailLimit = 2_000;
/** Seconds over which a tail measures its rate. */
const rateWindow = 5_000;

/** TailRow is an event, or a gap in their place. */
export type TailRow = { id: number; event: Event } | { id: number; gap: Gap };

/** TailStore is the newest events, oldest first, never more than `tailLimit`. */
export class TailStore extends Store {
  readonly #now: () => number;
  #rows: TailRow[] = [];
  #frozen: TailRow[] | undefined;
  #nextId = 1;
  #total = 0;
  #loaded = false;
  #since = Number.POSITIVE_INFINITY;
  #arrivals: { time: number; shown: number; stoodFor: number }[] = [];

  constructor(frames: Frames, now: () => number = Date.now) {
    super(frames);
    this.#now = now;
  }

  get rows(): readonly TailRow[] {
    return this.#frozen ?? this.#rows;
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  /** total counts all rows there ever were; those beyond the limit are no longer kept. */
  get total(): number {
    return this.#total;
  }

  freeze(frozen: boolean): void {
    if (frozen === (this.#frozen !== undefined)) return;
    this.#frozen = frozen ? this.#rows.slice() : undefined;
    this.changed();
  }

  clear(): void {
    this.#rows = [];
    this.#arrivals = [];
    this.#total = 0;
    this.#loaded = false;
    this.#since = Number.POSITIVE_INFINITY;
    this.changed();
  }

  apply(frame: Frame, snapshot: boolean): void {
    this.#loaded = true;
    this.#since = Math.min(this.#since, this.#now());
    if (snapshot) this.#rows = [];
    let stoodFor = 0;
    const events = snapshot ? frame.events.toSorted((a, b) => a.time - b.time) : frame.events;
    for (const event of events) {
      stoodFor += event.count;
      this.#rows.push({ id: this.#nextId++, event });
    }
    this.#total += events.length;
    if (!snapshot && events.length > 0) {
      this.#arrivals.push({ time: this.#now(), shown: events.length, stoodFor });
    }
    this.#trim();
    this.changed();
  }

  gap(gap: Gap): void {
    this.#rows.push({ id: this.#nextId++, gap });
    this.#trim();
    this.changed();
  }

  /**
   * rates are the events a second that are shown, and those that they stand for, over the last five seconds; unknown until
   * there have been as many.
   */
  rates(): { shown: number; all: number } {
    const since = this.#now() - rateWindow;
    if (since < this.#since) return { shown: Number.NaN, all: Number.NaN };
    let shown = 0;
    let all = 0;
    for (const arrival of this.#arrivals) {
      if (arrival.time < since) continue;
      shown += arrival.shown;
      all += arrival.stoodFor;
    }
    return { shown: (shown * 1000) / rateWindow, all: (all * 1000) / rateWindow };
  }

  #trim(): void {
    if (this.#rows.length > tailLimit) this.#rows.splice(0, this.#rows.length - tailLimit);
    const since = this.#now() - rateWindow;
    let old = 0;
    while (old < this.#arrivals.length && this.#arrivals[old].time < since) old++;
    this.#arrivals.splice(0, old);
  }
}
