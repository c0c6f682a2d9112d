import type { Link, Over } from "../src/core/link";
import type * as wire from "../src/core/wire/types";
import { parse } from "./json";

type Command = { id: number } & Record<string, Record<string, unknown>>;

/** FakeSocket is one connection to a hub that does only what a test tells it to. */
export class FakeSocket implements Link {
  onopen: (() => void) | null = null;
  onmessage: ((message: wire.Message) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  closed = false;
  readonly sent: Command[] = [];

  constructor(readonly over: Over = "ws") {}

  send(command: wire.Command): void {
    this.sent.push(JSON.parse(JSON.stringify(command)));
  }

  close(): void {
    this.closed = true;
  }

  /** tell delivers a message of the hub. */
  tell(message: unknown): void {
    this.onmessage?.(parse(typeof message === "string" ? message : JSON.stringify(message)));
  }

  /** drop ends the connection as the network or the hub would. */
  drop(code = 1006, reason = ""): void {
    this.onclose?.({ code, reason });
  }

  /** all is the commands of one kind, in order. */
  all(kind: string): Command[] {
    return this.sent.filter((command) => kind in command);
  }

  last(kind: string): Command {
    const found = this.all(kind).at(-1);
    if (found === undefined) throw new Error(`no ${kind} was sent`);
    return found;
  }
}

/** FakeHub takes connections and can answer a hello by itself. */
export class FakeHub {
  readonly sockets: FakeSocket[] = [];

  readonly open = (over: Over): FakeSocket => {
    const socket = new FakeSocket(over);
    this.sockets.push(socket);
    return socket;
  };

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("nobody has connected");
    return socket;
  }

  /** welcome lets the newest connection in. */
  welcome(now = Date.now(), version = "1"): FakeSocket {
    const { socket } = this;
    socket.onopen?.();
    socket.tell({ id: socket.last("hello").id, welcome: { session: "s", node: "n", version, now } });
    return socket;
  }

  /** joined answers the newest subscribe command with a room. */
  joined(room: number, position = "n.1"): number {
    const { id } = this.socket.last("subscribe");
    this.socket.tell({ id, subscribed: { room, position, recovered: true } });
    return id;
  }

  /** pong answers the newest ping. */
  pong(): void {
    this.socket.tell({ id: this.socket.last("ping").id, pong: { now: Date.now() } });
  }
}
