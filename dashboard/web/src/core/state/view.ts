import type { HubClock } from "../clock";
import { type Frames, Store } from "../frame";

/** Live shows what is; paused keeps the screen as it was; exploring keeps the charts at a range while all else goes on. */
export type ViewMode =
  | { name: "live" }
  | { name: "paused"; at: number; events: number }
  | { name: "exploring"; from: number; to: number; events: number };

/** Freezable is a store whose figures can be kept on the screen while they go on beneath. */
export interface Freezable {
  freeze(frozen: boolean): void;
}

/** A range is not explored more closely than this, ms. */
export const shortest = 1_000;

/** ViewStore is how the person looks at the stream. It never changes what is taken in. */
export class ViewStore extends Store {
  readonly #clock: HubClock;
  readonly #eventCount: () => number;
  readonly #stores = new Set<Freezable>();
  #mode: ViewMode = { name: "live" };

  constructor(frames: Frames, clock: HubClock, eventCount: () => number) {
    super(frames);
    this.#clock = clock;
    this.#eventCount = eventCount;
  }

  get mode(): ViewMode {
    return this.#mode;
  }

  get paused(): boolean {
    return this.#mode.name === "paused";
  }

  /** now is the time to count ages from: the hub's, or that of the pause. */
  now(): number {
    return this.#mode.name === "paused" ? this.#mode.at : this.#clock.now();
  }

  /** missed counts the events since the view left live, or since they have been known where that was before. */
  get missed(): number {
    const mode = this.#mode;
    if (mode.name === "live") return 0;
    const count = this.#eventCount();
    if (Number.isNaN(mode.events)) mode.events = count;
    return Math.max(0, count - mode.events) || 0;
  }

  /** attach adds a store to what a pause freezes; it returns the function that takes it out. */
  attach(store: Freezable): () => void {
    this.#stores.add(store);
    store.freeze(this.paused);
    return () => this.#stores.delete(store);
  }

  pause(): void {
    this.#become({ name: "paused", at: this.#clock.now(), events: this.#eventCount() });
  }

  /** explore shows a range, ms: of at least a second, not before 1970, and not beyond now. */
  explore(from: number, to: number): void {
    const events = this.#mode.name === "live" ? this.#eventCount() : this.#mode.events;
    const end = Math.max(shortest, Math.min(to, this.#clock.now()));
    this.#become({ name: "exploring", from: Math.max(0, Math.min(from, end - shortest)), to: end, events });
  }

  backToLive(): void {
    this.#become({ name: "live" });
  }

  toggle(): void {
    if (this.#mode.name === "live") this.pause();
    else this.backToLive();
  }

  #become(mode: ViewMode): void {
    this.#mode = mode;
    for (const store of this.#stores) store.freeze(mode.name === "paused");
    this.changed();
  }
}

/** Ticker tells once a second that time has passed, for ages and for charts that slide. */
export class Ticker extends Store {
  #timer: ReturnType<typeof setInterval> | undefined;

  start(): void {
    this.stop();
    this.#timer = setInterval(() => this.changed(), 1_000);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
