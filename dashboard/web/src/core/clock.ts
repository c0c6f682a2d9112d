/**
 * HubClock tells the hub's time in this browser, whose own clock may be wrong by minutes. All times in milliseconds since
 * the Unix epoch.
 */
export class HubClock {
  #offset = 0;
  #synced = false;

  /** now is the hub's time as far as it is known; before the first sync, the browser's. */
  now(): number {
    return Date.now() + this.#offset;
  }

  get offset(): number {
    return this.#offset;
  }

  /** sync takes the hub's clock from a reply to a command: it was read about half-way between sending and receiving. */
  sync(hubNow: number, sentAt: number, receivedAt: number): void {
    this.#offset = hubNow - (sentAt + receivedAt) / 2;
    this.#synced = true;
  }

  /**
   * observe takes a time the hub has written into a frame. A frame is never older than its arrival says, so a time ahead
   * of ours proves that our clock is behind.
   */
  observe(hubTime: number): void {
    const offset = hubTime - Date.now();
    if (!this.#synced || offset > this.#offset) {
      this.#offset = offset;
      this.#synced = true;
    }
  }
}
