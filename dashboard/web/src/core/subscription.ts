import type { Frame, Gap, Subscribe, WireError } from "./wire/types";

/** Handler receives what a subscription delivers. */
export interface Handler {
  /** frame: a snapshot replaces what was known, except where the subscription was made with history to be merged. */
  frame(frame: Frame, snapshot: boolean): void;
  /** gap: what was left out of `every`. */
  gap?(gap: Gap): void;
  /** failed: the hub refused the subscription. */
  failed?(error: WireError): void;
}

export interface SubscriptionOptions {
  /** resume from the last position after a reconnect; else the subscription starts again with a snapshot. */
  resume: boolean;
}

/** isTelemetry tells what a device sends from the state of views. */
export const isTelemetry = ({ form }: Subscribe) => form === "events" || form === "values";

/** newestOf is when the newest message of a frame reached the hub; 0 where the frame does not tell. */
export function newestOf({ arrived, events }: Frame): number {
  let newest = arrived;
  for (const { time } of events) if (time > newest) newest = time;
  return newest;
}

/** Owner is the connection that a subscription is of. */
interface Owner {
  /** renew is called when the wish has changed, rest when it is put off or taken up again, forget when there is none any more. */
  renew(subscription: Subscription): void;
  rest(subscription: Subscription): void;
  forget(subscription: Subscription): void;
}

/** Subscription is one standing wish; it survives reconnects until it is closed. */
export class Subscription {
  readonly #owner: Owner;
  readonly handler: Handler;
  readonly resume: boolean;
  spec: Subscribe;
  room = 0;
  position = "";
  closed = false;
  /** paused reports that nothing of it is on the screen: it is not asked for meanwhile. */
  paused = false;
  /** fresh reports that something has come over the present link. */
  fresh = false;
  /** replaced is the room to leave as soon as the new one answers, so that nothing flickers. */
  replaced = 0;
  /** asked is the id of the subscribe command that counts; the answers to earlier ones are obsolete. */
  asked = 0;

  constructor(owner: Owner, spec: Subscribe, handler: Handler, resume: boolean) {
    this.#owner = owner;
    this.spec = spec;
    this.handler = handler;
    this.resume = resume;
  }

  /** replace asks for something else; the old room goes on until the new one is there. */
  replace(spec: Subscribe): void {
    if (this.closed || JSON.stringify(spec) === JSON.stringify(this.spec)) return;
    this.spec = spec;
    this.position = "";
    this.#owner.renew(this);
  }

  /** pause lets it rest while nothing of it is on the screen. It begins anew afterwards. */
  pause(paused: boolean): void {
    if (this.closed || paused === this.paused) return;
    this.paused = paused;
    this.#owner.rest(this);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#owner.forget(this);
  }
}
