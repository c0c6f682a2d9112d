/** Counts of a report: see painted in docs/PROTOCOL.md. */
const buckets = 64;

export interface PaintConfig {
  /** now is the hub's time, ms. */
  now: () => number;
  /** shown reports whether what arrives is painted: not in a tab that is hidden, nor while the view is paused. */
  shown: () => boolean;
  /** painted calls back as soon as the next frame has been painted; default: by the browser. */
  painted?: (then: () => void) => void;
}

/**
 * PaintMeter measures how long it takes from a message's arrival at the hub until the frame that shows it has been painted: of each
 * painted frame, that of the message which has waited longest.
 */
export class PaintMeter {
  readonly #config: PaintConfig;
  readonly #painted: (then: () => void) => void;
  #counts: number[] = [];
  #oldest = Number.POSITIVE_INFINITY;
  #waiting = false;

  constructor(config: PaintConfig) {
    this.#config = config;
    this.#painted = config.painted ?? afterPaint();
  }

  /** arrived takes the time of a message that has just come, ms on the hub's clock. */
  arrived(time: number): void {
    if (!this.#config.shown()) return;
    this.#oldest = Math.min(this.#oldest, time);
    if (this.#waiting) return;
    this.#waiting = true;
    this.#painted(() => this.#count());
  }

  /** skip forgets what waits to be painted, because the screen is hidden. */
  skip(): void {
    this.#oldest = Number.POSITIVE_INFINITY;
  }

  /** take returns the counts since the last call; empty where nothing was painted. */
  take(): number[] {
    const counts = Array.from(this.#counts, (count) => count ?? 0);
    this.#counts = [];
    return counts;
  }

  #count(): void {
    this.#waiting = false;
    const took = this.#config.now() - this.#oldest;
    this.skip();
    if (!Number.isFinite(took)) return;
    const at = Math.min(buckets - 1, Math.floor(4 * Math.log2(Math.max(1, took))));
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }
}

/** afterPaint waits for the next frame, and in it for the message that comes when it has been painted. */
function afterPaint(): (then: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  let next: (() => void) | undefined;
  port1.onmessage = () => next?.();
  return (then) => {
    next = then;
    requestAnimationFrame(() => port2.postMessage(0));
  };
}
