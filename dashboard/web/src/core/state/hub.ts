import { type Frames, Store } from "../frame";
import type { Frame, Hub, HubSecond } from "../wire/types";

/** Seconds of the hub's own figures that are kept. */
const capacity = 300;

/** names of the columns of a HubSecond. */
const columnOf = {
  time: 0,
  events: 1,
  p50: 2,
  p99: 3,
  online: 4,
  total: 5,
  errors: 6,
  deviceP50: 7,
  deviceP99: 8,
  screenP50: 9,
  screenP99: 10,
} as const;

export type HubColumn = keyof typeof columnOf;

/** HubStore is what the hub says of itself, now and over the last five minutes. */
export class HubStore extends Store {
  #latest: Hub | undefined;
  #history: HubSecond[] = [];
  #frozen: { latest: Hub | undefined; history: HubSecond[] } | undefined;
  #errors = Number.NaN;

  constructor(frames: Frames) {
    super(frames);
  }

  /** live is the newest figures, also while the screen is frozen. */
  get live(): Hub | undefined {
    return this.#latest;
  }

  /** latest is the figures to show. */
  get latest(): Hub | undefined {
    return this.#frozen === undefined ? this.#latest : this.#frozen.latest;
  }

  /** history is the seconds to show, oldest first. */
  get history(): readonly HubSecond[] {
    return this.#frozen?.history ?? this.#history;
  }

  /** column is one figure over the history, for drawing. What a second does not tell is NaN. */
  column(name: HubColumn): Float64Array {
    return Float64Array.from(this.history, (row) => row[columnOf[name]] ?? Number.NaN);
  }

  freeze(frozen: boolean): void {
    if (frozen === (this.#frozen !== undefined)) return;
    this.#frozen = frozen ? { latest: this.#latest, history: this.#history.slice() } : undefined;
    this.changed();
  }

  apply(frame: Frame, snapshot: boolean): void {
    const { hub } = frame;
    if (hub === undefined) return;
    const errors = errorCount(hub);
    const newErrors = snapshot ? 0 : Math.max(0, errors - this.#errors);
    if (snapshot) this.#history = mergeHistory(this.#history, hub.history);
    this.#errors = errors;
    this.#latest = hub;
    const newest = this.#history.at(-1)?.[columnOf.time] ?? Number.NEGATIVE_INFINITY;
    if (hub.time > newest) {
      const { devices, latency } = hub;
      this.#history.push([
        hub.time,
        hub.eventsPerSecond,
        latency.p50,
        latency.p99,
        devices.online,
        devices.total,
        newErrors || 0,
        latency.device.p50,
        latency.device.p99,
        latency.screen.p50,
        latency.screen.p99,
      ]);
    }
    if (this.#history.length > capacity) this.#history.splice(0, this.#history.length - capacity);
    this.changed();
  }
}

/** errorCount is everything the hub has dropped, refused or could not decode since it started. */
export function errorCount(hub: Hub): number {
  return dropCount(hub) + known(hub.gaps) + known(hub.undecodable);
}

/** dropCount is what the hub has dropped since it started, for whatever reason. */
export function dropCount(hub: Hub): number {
  return hub.drops.reduce((sum, [, count]) => sum + known(count), 0);
}

function known(count: number): number {
  return Number.isNaN(count) ? 0 : count;
}

/** mergeHistory keeps the seconds before the snapshot's own: a hub that has just started remembers none of them. */
function mergeHistory(before: HubSecond[], snapshot: HubSecond[]): HubSecond[] {
  if (snapshot.length === 0) return before;
  const first = snapshot[0][columnOf.time];
  return [...before.filter((row) => row[columnOf.time] < first), ...snapshot];
}
