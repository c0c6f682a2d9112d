import { backoff } from "./backoff";
import type { HubClock } from "./clock";
import { type Frames, Store } from "./frame";
import { parse, subprotocol } from "./wire/json";
import type { Frame, Gap, Publish, Reply, Subscribe, WireError } from "./wire/types";

/** Silence after which values count as stale; the hub's own figures come once a second. Milliseconds. */
const staleAfter = 2_500;
/** Silence after which a ping is sent, and after which the connection is given up. Milliseconds. */
const pingAfter = 3_000;
const deadAfter = 8_000;
const watchEvery = 500;
/** A connection that lived this long was a good one: back-off begins anew. Milliseconds. */
const goodAfter = 5_000;
/** Close codes from here to 4999 say: not without a change. */
const firstFinalCode = 4500;
const lastFinalCode = 4999;

export type ConnectionState =
  | { name: "connecting" }
  | { name: "live" }
  /** The socket is open and silent since `since` (browser clock). */
  | { name: "stale"; since: number }
  /** Lost since `since`; the next attempt comes at `retryAt` (browser clock). */
  | { name: "reconnecting"; since: number; retryAt: number; code: number }
  /** The hub does not want this client back without a change. */
  | { name: "refused"; code: number; reason: string };

/** SocketLike is what the connection needs of a WebSocket. */
export interface SocketLike {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  send(data: string): void;
  close(): void;
}

export interface ConnectionConfig {
  url: string;
  client: string;
  frames: Frames;
  clock: HubClock;
  /** name is what others see of this person in a chat; empty while unknown. */
  name: () => string;
  /** open makes a socket; default: the browser's WebSocket. */
  open?: (url: string, protocol: string) => SocketLike;
  random?: () => number;
}

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

/** CommandError is the hub's refusal of a command, or the loss of the connection before the reply. */
export class CommandError extends Error {
  readonly code: string;
  readonly retry: boolean;

  constructor(error: WireError) {
    super(error.message);
    this.name = "CommandError";
    this.code = error.code;
    this.retry = error.retry;
  }
}

const lost: WireError = { code: "disconnected", message: "not connected to the hub", retry: true };

interface Pending {
  sentAt: number;
  done: (reply: Reply) => void;
  failed: (error: WireError) => void;
}

/** Subscription is one standing wish; it survives reconnects until it is closed. */
export class Subscription {
  readonly #connection: Connection;
  readonly handler: Handler;
  readonly resume: boolean;
  spec: Subscribe;
  room = 0;
  position = "";
  closed = false;
  /** replaced is the room to leave as soon as the new one answers, so that nothing flickers. */
  replaced = 0;
  /** asked is the id of the subscribe command that counts; the answers to earlier ones are obsolete. */
  asked = 0;

  constructor(connection: Connection, spec: Subscribe, handler: Handler, resume: boolean) {
    this.#connection = connection;
    this.spec = spec;
    this.handler = handler;
    this.resume = resume;
  }

  /** replace asks for something else; the old room goes on until the new one is there. */
  replace(spec: Subscribe): void {
    if (this.closed || JSON.stringify(spec) === JSON.stringify(this.spec)) return;
    this.spec = spec;
    this.position = "";
    this.#connection.renew(this);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#connection.forget(this);
  }
}

/**
 * Connection is the one WebSocket of this page. It keeps itself alive, comes back with back-off when it is lost, and
 * renews the subscriptions where they were. It tells its state as a Store.
 */
export class Connection extends Store {
  readonly #config: ConnectionConfig;
  readonly #open: (url: string, protocol: string) => SocketLike;
  readonly #subscriptions = new Set<Subscription>();
  readonly #rooms = new Map<number, Set<Subscription>>();
  readonly #pending = new Map<number, Pending>();
  #state: ConnectionState = { name: "connecting" };
  #socket: SocketLike | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #nextId = 1;
  #attempt = 0;
  #liveSince = 0;
  #heardAt = 0;
  #pinged = false;
  #session = 0;
  #bad = 0;

  constructor(config: ConnectionConfig) {
    super(config.frames);
    this.#config = config;
    this.#open = config.open ?? ((url, protocol) => new WebSocket(url, protocol) as SocketLike);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get live(): boolean {
    return this.#state.name === "live";
  }

  /** session counts the connections made: numbers of series, devices and topics hold within one. */
  get session(): number {
    return this.#session;
  }

  /** bad counts the messages that could not be understood. */
  get bad(): number {
    return this.#bad;
  }

  /** heardAt is when the hub was last heard, on the browser's clock; 0 for never. */
  get heardAt(): number {
    return this.#heardAt;
  }

  connect(): void {
    this.#dispose();
    const socket = this.#open(this.#config.url, subprotocol);
    this.#socket = socket;
    const openedAt = Date.now();
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => this.#lost(socket, event.code, event.reason);
    this.#watch = setInterval(() => this.#look(socket, openedAt), watchEvery);
  }

  /** close ends everything; the connection does not come back by itself. */
  close(): void {
    this.#dispose();
    this.#failPending();
  }

  /** wake is called when the network or the tab has come back: it retries at once instead of waiting. */
  wake(): void {
    if (this.#state.name === "reconnecting") this.connect();
  }

  /** join makes a subscription; it begins when the connection is live, and begins again after each reconnect. */
  join(spec: Subscribe, handler: Handler, options: SubscriptionOptions = { resume: false }): Subscription {
    const subscription = new Subscription(this, spec, handler, options.resume);
    this.#subscriptions.add(subscription);
    if (this.#ready()) this.#ask(subscription);
    return subscription;
  }

  /** publish resolves when the hub has the message as safely as qos says; it rejects with a CommandError. */
  async publish(message: Publish): Promise<string> {
    const reply = await this.#request({ publish: message });
    return reply.type === "published" ? reply.position : "";
  }

  /** introduce tells the hub this person's name again after it has changed. */
  introduce(): void {
    if (this.#ready()) this.#command({ hello: this.#hello() }, { done: () => {}, failed: () => {} });
  }

  /** renew is called by a subscription whose wish has changed. */
  renew(subscription: Subscription): void {
    if (!this.#ready()) return;
    if (subscription.room !== 0 && subscription.replaced === 0) subscription.replaced = subscription.room;
    this.#ask(subscription);
  }

  /** forget is called by a subscription that was closed. */
  forget(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
    this.#leave(subscription, subscription.room);
    this.#leave(subscription, subscription.replaced);
  }

  #ready(): boolean {
    return this.#state.name === "live" || this.#state.name === "stale";
  }

  #hello(): Record<string, string> {
    const name = this.#config.name();
    return name === "" ? { client: this.#config.client } : { client: this.#config.client, name };
  }

  #opened(socket: SocketLike): void {
    if (socket !== this.#socket) return;
    this.#heardAt = Date.now();
    this.#command(
      { hello: this.#hello() },
      {
        done: (reply) => {
          if (reply.type !== "welcome") return;
          this.#liveSince = Date.now();
          this.#session++;
          this.#become({ name: "live" });
          for (const subscription of this.#subscriptions) this.#ask(subscription);
        },
        failed: () => socket.close(),
      },
    );
  }

  #ask(subscription: Subscription): void {
    const { spec } = subscription;
    const resuming = subscription.resume && subscription.position !== "";
    const wish = resuming ? { ...spec, history: 0, from: subscription.position } : spec;
    const id = this.#command(
      { subscribe: wish },
      {
        done: (reply) => {
          if (reply.type === "subscribed") this.#joined(subscription, reply.room, id);
        },
        failed: (error) => {
          if (!subscription.closed && subscription.asked === id && error.code !== lost.code) {
            subscription.handler.failed?.(error);
          }
        },
      },
    );
    subscription.asked = id;
  }

  #joined(subscription: Subscription, room: number, id: number): void {
    if (subscription.closed || subscription.asked !== id) {
      if (!this.#rooms.has(room)) this.#send({ unsubscribe: { room } });
      return;
    }
    const members = this.#rooms.get(room) ?? new Set();
    members.add(subscription);
    this.#rooms.set(room, members);
    const { replaced } = subscription;
    subscription.room = room;
    subscription.replaced = 0;
    if (replaced !== room) this.#leave(subscription, replaced);
  }

  #leave(subscription: Subscription, room: number): void {
    const members = this.#rooms.get(room);
    if (members === undefined || !members.delete(subscription) || members.size > 0) return;
    this.#rooms.delete(room);
    this.#send({ unsubscribe: { room } });
  }

  #received(data: unknown): void {
    this.#heardAt = Date.now();
    this.#pinged = false;
    if (this.#state.name === "stale") this.#become({ name: "live" });
    const message = typeof data === "string" ? parse(data) : { kind: "bad" as const, reason: "not text" };
    switch (message.kind) {
      case "reply":
        this.#replied(message.id, message.reply);
        break;
      case "frame":
        for (const subscription of this.#rooms.get(message.room) ?? []) {
          if (message.frame.position !== "" && subscription.room === message.room) {
            subscription.position = message.frame.position;
          }
          subscription.handler.frame(message.frame, message.snapshot);
        }
        break;
      case "gap":
        for (const subscription of this.#rooms.get(message.room) ?? []) {
          subscription.position = message.gap.to || subscription.position;
          subscription.handler.gap?.(message.gap);
        }
        break;
      case "bad":
        this.#bad++;
    }
  }

  #replied(id: number, reply: Reply): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    if (reply.type === "welcome" || reply.type === "pong") {
      this.#config.clock.sync(reply.now, pending.sentAt, Date.now());
    }
    if (reply.type === "error") pending.failed(reply.error);
    else pending.done(reply);
  }

  /** look is the watchdog: browsers do not tell when a peer has silently gone. */
  #look(socket: SocketLike, openedAt: number): void {
    const silence = Date.now() - Math.max(this.#heardAt, openedAt);
    if (silence > deadAfter) {
      this.#lost(socket, 1006, "silent");
    } else if (this.#ready()) {
      if (silence > staleAfter && this.#state.name === "live") this.#become({ name: "stale", since: this.#heardAt });
      if (silence > pingAfter && !this.#pinged) {
        this.#pinged = true;
        this.#command({ ping: {} }, { done: () => {}, failed: () => {} });
      }
    }
  }

  #lost(socket: SocketLike, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    const wasGood = this.#ready() && Date.now() - this.#liveSince > goodAfter;
    this.#dispose();
    this.#failPending();
    this.#rooms.clear();
    for (const subscription of this.#subscriptions) {
      subscription.room = 0;
      subscription.replaced = 0;
    }
    if (code >= firstFinalCode && code <= lastFinalCode) {
      this.#become({ name: "refused", code, reason });
      return;
    }
    if (wasGood) this.#attempt = 0;
    const delay = backoff(this.#attempt++, this.#config.random);
    this.#become({ name: "reconnecting", since: this.#heardAt, retryAt: Date.now() + delay, code });
    this.#retry = setTimeout(() => this.connect(), delay);
  }

  #dispose(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #failPending(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { failed } of pending) failed(lost);
  }

  #request(command: Record<string, unknown>): Promise<Reply> {
    return new Promise((done, reject) => {
      const failed = (error: WireError) => reject(new CommandError(error));
      if (!this.live) failed(lost);
      else this.#command(command, { done, failed });
    });
  }

  #command(command: Record<string, unknown>, pending: Omit<Pending, "sentAt">): number {
    const id = this.#nextId++;
    this.#pending.set(id, { ...pending, sentAt: Date.now() });
    this.#transmit({ id, ...command });
    return id;
  }

  /** send is for commands whose reply says nothing new. */
  #send(command: Record<string, unknown>): void {
    if (this.#ready()) this.#command(command, { done: () => {}, failed: () => {} });
  }

  #transmit(message: Record<string, unknown>): void {
    this.#socket?.send(JSON.stringify(message));
  }

  #become(state: ConnectionState): void {
    this.#state = state;
    this.changed();
  }
}
