/** By how much what the hub tells of a past may be old, ms of the present. */
const pastSlack = 1_200;

/**
 * HubClock tells the hub's time in this browser, whose own clock may be wrong by minutes. All times in milliseconds since
 * the Unix epoch.
 */
export class HubClock {
  #offset = 0;
  /** The past goes by at a rate of its own, from a moment on that was told at some time of the browser's. */
  #rate = 1;
  #past: { told: number; at: number } | undefined;
  #until = Number.POSITIVE_INFINITY;
  #synced = false;
  /** doubt is by how much the offset may be wrong, either way. */
  #doubt = Number.POSITIVE_INFINITY;

  /** now is the hub's time as far as it is known; before the first sync, the browser's. */
  now(): number {
    if (this.#past !== undefined)
      return Math.min(this.#past.told + (Date.now() - this.#past.at) * this.#rate, this.#until);
    return Date.now() + this.#offset;
  }

  /** run makes it the clock of a past that goes by at a rate, from a moment on until another; what the hub tells corrects it. */
  run(rate: number, from: number, until = Number.POSITIVE_INFINITY): void {
    this.#rate = rate;
    this.#until = until;
    this.#past = { told: from, at: Date.now() };
  }

  /** offset is by how much the hub's clock is ahead of the browser's. */
  get offset(): number {
    return this.#offset;
  }

  /**
   * sync takes the hub's clock from a reply to a command: it was read between sending and receiving, about half-way. A slower
   * answer does not replace a quicker one that it agrees with.
   */
  sync(hubNow: number, sentAt: number, receivedAt: number): void {
    if (this.#past !== undefined) {
      this.#past = { told: hubNow, at: (sentAt + receivedAt) / 2 };
      return;
    }
    const offset = hubNow - (sentAt + receivedAt) / 2;
    const doubt = (receivedAt - sentAt) / 2;
    if (doubt > this.#doubt && Math.abs(offset - this.#offset) <= doubt) return;
    this.#offset = offset;
    this.#doubt = doubt;
    this.#synced = true;
  }

  /**
   * observe takes a time the hub has written into a frame. A frame is never older than its arrival says, so a time ahead
   * of ours proves that our clock is behind.
   */
  observe(hubTime: number): void {
    if (this.#past !== undefined) {
      // It was written down to a second ago: only what is further behind proves that the past goes by more slowly.
      const ahead = this.now() - hubTime;
      if (ahead < 0 || ahead > pastSlack * (this.#rate + 0.5)) this.#past = { told: hubTime, at: Date.now() };
      return;
    }
    const offset = hubTime - Date.now();
    if (this.#synced && offset <= this.#offset) return;
    this.#offset = offset;
    this.#synced = true;
  }
}
