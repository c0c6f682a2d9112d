import { backoff } from "./backoff";
import type { HubClock } from "./clock";
import { CommandError, lost, type Pending, type Wish } from "./command";
import { type Frames, Store } from "./frame";
import { answers, broken, type Link, type Over, openLink } from "./link";
import { type Handler, isTelemetry, newestOf, Subscription, type SubscriptionOptions } from "./subscription";
import * as closeCodes from "./wire/codes.gen";
import type { Frame, Hello, Message, Publish, Reply, Subscribe, WireError } from "./wire/types";

export { CommandError } from "./command";
export type { Subscription } from "./subscription";

/** Silence after which values count as stale; the hub's own figures come once a second. Milliseconds. */
const staleAfter = 1_750;
/** Silence after which a ping is sent, and after which the connection is given up. Milliseconds. */
const pingAfter = 3_000;
const deadAfter = 8_000;
const watchEvery = 250;
/** How often the hub must answer after a silence: frames that it had ready when it answered may come behind its answer. */
const catchUpRounds = 2;
/** A link that is not there after this long does not come. Milliseconds. */
const openWithin = 4_000;
/** WebSockets count as blocked when so many in a row have failed while the hub answered plain requests. */
const blockedAfter = 2;
/** How long to go on without WebSockets before one is tried again, at first and at most. Milliseconds. */
const triesFirst = 30_000;
const triesMost = 900_000;
/** The path of the hub's stream. */
const usual = "/ws";
/** A connection that lived this long was a good one: back-off begins anew. Milliseconds. */
const goodAfter = 5_000;
/** Close codes from here to 4999 say: not without a change. */
const firstFinalCode = 4500;
const lastFinalCode = 4999;
/** Close codes from here on are the hub's own. */
const firstOwnCode = 4000;

/** unheeded is for commands whose reply says nothing new. */
const unheeded = { done: () => {}, failed: () => {} };

export type ConnectionState =
  | { name: "connecting" }
  | { name: "live" }
  /** The link is open and was silent from `since` on (browser clock); what piled up meanwhile may not have come yet. */
  | { name: "stale"; since: number }
  /** Lost since `since`; the next attempt comes at `retryAt` (browser clock). */
  | { name: "reconnecting"; since: number; retryAt: number; code: number }
  /** The hub does not want this client back without a change. */
  | { name: "refused"; code: number; reason: string };

export interface ConnectionConfig {
  client: string;
  frames: Frames;
  clock: HubClock;
  /** name is what others see of this person in a chat; empty while unknown. */
  name: () => string;
  /** path is that of WebSockets, asked for with each attempt; default: "/ws". On another nothing stands in for them. */
  path?: () => string;
  /** open makes a link; default: the browser's. */
  open?: (over: Over, path: string) => Link;
  /** answers reports whether the hub is there for plain requests. */
  answers?: () => Promise<boolean>;
  /** arrived is told of each live frame when its newest message reached the hub. */
  arrived?: (time: number) => void;
  /** lost is told of messages that were not understood, and of history that was cut short. */
  lost?: (what: "bad" | "truncated") => void;
  random?: () => number;
}

/**
 * Connection is the one link of this page to its hub: a WebSocket, or server-sent events where WebSockets are blocked. It keeps
 * itself alive, comes back with back-off when it is lost, and renews the subscriptions where they were. It tells its state as
 * a Store.
 */
export class Connection extends Store {
  readonly #config: ConnectionConfig;
  readonly #open: (over: Over, path: string) => Link;
  readonly #subscriptions = new Set<Subscription>();
  readonly #rooms = new Map<number, Set<Subscription>>();
  readonly #pending = new Map<number, Pending>();
  /** unwanted are rooms to leave; asking counts the subscribe commands that were not answered yet. */
  readonly #unwanted = new Set<number>();
  #asking = 0;
  #state: ConnectionState = { name: "connecting" };
  #link: Link | undefined;
  #over: Over = "ws";
  #path = usual;
  /** welcomed reports that the hub has answered over this link; hubTime is its clock then. */
  #welcomed = false;
  #hubTime = 0;
  /** blocked counts the WebSockets in a row that failed while the hub answered plain requests. */
  #blocked = 0;
  #trial: ReturnType<typeof setTimeout> | undefined;
  #trialWait = triesFirst;
  #asleep = false;
  #versions: string[] = [];
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #nextId = 1;
  #attempt = 0;
  #liveSince = 0;
  #heardAt = 0;
  #pinged = false;
  /** catching reports that the hub was heard again after a silence, and that not all of it may have come. */
  #catching = false;
  #session = 0;
  #bad = 0;

  constructor(config: ConnectionConfig) {
    super(config.frames);
    this.#config = config;
    this.#open = config.open ?? openLink;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get live(): boolean {
    return this.#state.name === "live";
  }

  /** over is what the link goes over: "sse" where WebSockets are blocked. */
  get over(): Over {
    return this.#over;
  }

  /** elsewhere reports that the link is not of the hub's own stream: its clock is not the hub's. */
  get elsewhere(): boolean {
    return this.#path !== usual;
  }

  /** fresh reports that the link is live and that the hub has told over it how the devices are: what is shown of them is of now. */
  get fresh(): boolean {
    return this.live && [...this.#subscriptions].every(({ fresh, spec }) => fresh || spec.form !== "devices");
  }

  /** updated is the version of the hub and that of the one before, where it has become another; else undefined. */
  get updated(): { from: string; to: string } | undefined {
    const [from, to] = [this.#versions[0], this.#versions.at(-1)];
    return from === to || from === undefined || to === undefined ? undefined : { from, to };
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
    this.#path = this.#config.path?.() ?? usual;
    this.#over = this.#blocked < blockedAfter || this.elsewhere ? "ws" : "sse";
    const link = this.#open(this.#over, this.#path);
    link.onopen = () => this.#opened(link);
    this.#use(link);
  }

  /** close ends everything; the connection does not come back by itself. */
  close(): void {
    this.#dispose();
  }

  /** wake is called when the network or the tab has come back: it retries at once instead of waiting. */
  wake(): void {
    if (this.#state.name === "reconnecting") this.connect();
    else if (this.#over === "sse" && this.#ready()) {
      this.#trialWait = 0;
      this.#tryLater();
    }
  }

  /** sleep gives up telemetry while nobody looks, and takes it up again. */
  sleep(asleep: boolean): void {
    if (asleep === this.#asleep) return;
    this.#asleep = asleep;
    for (const subscription of this.#subscriptions) if (isTelemetry(subscription.spec)) this.rest(subscription);
  }

  /** rest is called when a subscription is put off, or may be taken up again. */
  rest(subscription: Subscription): void {
    if (this.#rests(subscription)) this.#leaveRooms(subscription);
    else if (this.#ready()) this.#ask(subscription);
  }

  /** report tells the hub how long painting took; false where it does not want to know. */
  report(counts: number[]): Promise<boolean> {
    return this.#request({ painted: { counts } }).then(
      () => true,
      (error: CommandError) => error.retry,
    );
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
    this.#send({ hello: this.#hello() });
  }

  /** renew is called by a subscription whose wish has changed. */
  renew(subscription: Subscription): void {
    if (!this.#ready()) return;
    if (subscription.room !== 0) subscription.replaced = subscription.room;
    this.#ask(subscription);
  }

  /** forget is called by a subscription that was closed. */
  forget(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
    this.#leaveRooms(subscription);
  }

  #rests({ paused, spec }: Subscription): boolean {
    return paused || (this.#asleep && isTelemetry(spec));
  }

  #ready(): boolean {
    return this.#welcomed && (this.#state.name === "live" || this.#state.name === "stale");
  }

  #hello(): Hello {
    const name = this.#config.name();
    return name === "" ? { client: this.#config.client } : { client: this.#config.client, name };
  }

  /** use makes a link the one that counts. */
  #use(link: Link): void {
    const since = Date.now();
    this.#link = link;
    this.#welcomed = false;
    this.#catching = false;
    link.onmessage = (message) => this.#received(message);
    link.onclose = ({ code, reason }) => this.#lost(link, code, reason);
    this.#watch = setInterval(() => this.#look(link, since), watchEvery);
  }

  #opened(link: Link): void {
    if (link !== this.#link) return;
    this.#heardAt = Date.now();
    this.#command(
      { hello: this.#hello() },
      {
        done: (reply) => {
          if (reply.type !== "welcome") return;
          this.#liveSince = Date.now();
          this.#hubTime = reply.now;
          this.#welcomed = true;
          this.#session++;
          if (this.#versions.length > 1) this.#versions.pop();
          this.#versions.push(reply.version);
          if (this.#over === "ws") this.#blocked = 0;
          else this.#tryLater();
          this.#become({ name: "live" });
          for (const subscription of this.#subscriptions) this.#ask(subscription);
        },
        failed: (error) => {
          if (error !== lost) this.#lost(link, broken, error.message);
        },
      },
    );
  }

  #ask(subscription: Subscription): void {
    const { spec } = subscription;
    if (this.#rests(subscription)) return;
    const resuming = subscription.resume && subscription.position !== "";
    const wish = resuming ? { ...spec, history: 0, from: subscription.position } : spec;
    const id = this.#command(
      { subscribe: wish },
      {
        done: (reply) => {
          this.#asking--;
          if (reply.type === "subscribed") this.#joined(subscription, reply.room, id);
          this.#tidy();
        },
        failed: (error) => {
          this.#asking--;
          this.#tidy();
          if (!subscription.closed && subscription.asked === id && error.code !== lost.code) {
            subscription.handler.failed?.(error);
          }
        },
      },
    );
    this.#asking++;
    subscription.asked = id;
  }

  #joined(subscription: Subscription, room: number, id: number): void {
    if (subscription.closed || this.#rests(subscription) || subscription.asked !== id) {
      this.#unwanted.add(room);
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

  #leaveRooms(subscription: Subscription): void {
    const { room, replaced } = subscription;
    subscription.room = 0;
    subscription.replaced = 0;
    this.#leave(subscription, room);
    this.#leave(subscription, replaced);
    this.#tidy();
  }

  #leave(subscription: Subscription, room: number): void {
    const members = this.#rooms.get(room);
    if (members === undefined || !members.delete(subscription) || members.size > 0) return;
    this.#rooms.delete(room);
    this.#unwanted.add(room);
  }

  /** tidy leaves the rooms that nobody wants, once it is known of all that was asked for which rooms they are: they may be those. */
  #tidy(): void {
    if (this.#asking > 0) return;
    for (const room of this.#unwanted) if (!this.#rooms.has(room)) this.#send({ unsubscribe: { room } });
    this.#unwanted.clear();
  }

  #received(message: Message): void {
    this.#heardAt = Date.now();
    this.#pinged = false;
    if (this.#state.name === "stale" && !this.#catching) this.#catchUp(catchUpRounds);
    switch (message.kind) {
      case "reply":
        this.#replied(message.id, message.reply);
        break;
      case "frame":
        for (const subscription of this.#rooms.get(message.room) ?? []) {
          if (message.frame.position !== "" && subscription.room === message.room) {
            subscription.position = message.frame.position;
          }
          if (!subscription.fresh) {
            subscription.fresh = true;
            this.changed();
          }
          subscription.handler.frame(message.frame, message.snapshot);
          // Who asks for events and no history does not miss what a snapshot leaves out.
          const { form, history } = subscription.spec;
          if (message.frame.truncated && (form !== "events" || history)) this.#config.lost?.("truncated");
        }
        this.#measure(message.frame, message.snapshot);
        break;
      case "gap":
        for (const subscription of this.#rooms.get(message.room) ?? []) {
          subscription.position = message.gap.to || subscription.position;
          subscription.handler.gap?.(message.gap);
        }
        break;
      case "bad":
        this.#bad++;
        this.#config.lost?.("bad");
    }
  }

  /**
   * catchUp makes a link that was silent live again when what piled up has come: it comes message by message, and the first of it
   * is old. Answers come in its order.
   */
  #catchUp(rounds: number): void {
    this.#catching = rounds > 0;
    if (!this.#catching) this.#become({ name: "live" });
    else this.#command({ ping: {} }, { done: () => this.#catchUp(rounds - 1), failed: () => (this.#catching = false) });
  }

  /** measure tells of a frame's arrival, unless it had arrived at the hub before this link was there. */
  #measure(frame: Frame, snapshot: boolean): void {
    const newest = newestOf(frame);
    if (!snapshot && newest > this.#hubTime) this.#config.arrived?.(newest);
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
  #look(link: Link, since: number): void {
    const silence = Date.now() - Math.max(this.#heardAt, since);
    if (silence > (this.#heardAt < since ? openWithin : deadAfter)) {
      this.#lost(link, broken, "silent");
    } else if (this.#ready()) {
      if (silence > staleAfter && this.#state.name === "live") this.#become({ name: "stale", since: this.#heardAt });
      if (silence > pingAfter && !this.#pinged) {
        this.#pinged = true;
        this.#send({ ping: {} });
      }
    }
  }

  #lost(link: Link, code: number, reason: string): void {
    if (link !== this.#link) return;
    const welcomed = this.#welcomed;
    const wasGood = this.#ready() && Date.now() - this.#liveSince > goodAfter;
    this.#dispose();
    if (!welcomed ? code < firstOwnCode : code === closeCodes.unauthorized) this.#suspect();
    if (code >= firstFinalCode && code <= lastFinalCode) {
      this.#become({ name: "refused", code, reason });
      return;
    }
    if (wasGood) this.#attempt = 0;
    const delay = backoff(this.#attempt++, this.#config.random);
    this.#become({ name: "reconnecting", since: this.#heardAt, retryAt: Date.now() + delay, code });
    this.#retry = setTimeout(() => this.connect(), delay);
  }

  /** suspect asks, after a link that never came to be or that ended for want of a login, whether it is for the hub or for WebSockets. */
  #suspect(): void {
    const over = this.#over;
    void (this.#config.answers ?? answers)().then((there) => {
      this.#blocked = there && over === "ws" ? this.#blocked + 1 : 0;
    });
  }

  /** tryLater tries a WebSocket while the stream goes on, and changes over to it if it opens. */
  #tryLater(): void {
    clearTimeout(this.#trial);
    this.#trial = setTimeout(() => {
      const stream = this.#link;
      const link = this.#open("ws", usual);
      const failed = () => {
        link.onopen = link.onclose = null;
        link.close();
        if (this.#link === stream) this.#tryLater();
      };
      link.onopen = () => {
        if (this.#link !== stream) {
          failed();
          return;
        }
        this.#dispose();
        this.#over = "ws";
        this.#use(link);
        this.#opened(link);
      };
      link.onclose = failed;
      this.#trial = setTimeout(failed, openWithin);
    }, this.#trialWait);
    this.#trialWait = Math.min(triesMost, 2 * this.#trialWait || triesFirst);
  }

  /** dispose ends the link, and with it all that was under way over it. */
  #dispose(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#trial);
    clearInterval(this.#watch);
    const link = this.#link;
    this.#link = undefined;
    this.#welcomed = false;
    this.#rooms.clear();
    this.#unwanted.clear();
    for (const subscription of this.#subscriptions) {
      subscription.room = 0;
      subscription.replaced = 0;
      subscription.fresh = false;
    }
    this.#failPending();
    if (link === undefined) return;
    link.onopen = null;
    link.onmessage = null;
    link.onclose = null;
    link.close();
  }

  #failPending(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { failed } of pending) failed(lost);
  }

  #request(wish: Wish): Promise<Reply> {
    return new Promise((done, reject) => {
      const failed = (error: WireError) => reject(new CommandError(error));
      if (!this.live || !this.#ready()) failed(lost);
      else this.#command(wish, { done, failed });
    });
  }

  #command(wish: Wish, pending: Omit<Pending, "sentAt">): number {
    const id = this.#nextId++;
    this.#link?.send({ id, ...wish });
    this.#pending.set(id, { ...pending, sentAt: Date.now() });
    return id;
  }

  #send(wish: Wish): void {
    if (this.#ready()) this.#command(wish, unheeded);
  }

  #become(state: ConnectionState): void {
    this.#state = state;
    this.changed();
  }
}
