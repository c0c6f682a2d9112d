import type { SocketLike } from "../src/core/connection";

type Command = { id: number } & Record<string, Record<string, unknown>>;

/** FakeSocket is one connection to a hub that does only what a test tells it to. */
export class FakeSocket implements SocketLike {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  closed = false;
  readonly sent: Command[] = [];

  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }

  close(): void {
    this.closed = true;
  }

  /** tell delivers a message of the hub. */
  tell(message: unknown): void {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
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

  readonly open = (): FakeSocket => {
    const socket = new FakeSocket();
    this.sockets.push(socket);
    return socket;
  };

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("nobody has connected");
    return socket;
  }

  /** welcome lets the newest connection in. */
  welcome(now = Date.now()): FakeSocket {
    const { socket } = this;
    socket.onopen?.();
    socket.tell({ id: socket.last("hello").id, welcome: { session: "s", node: "n", version: "1", now } });
    return socket;
  }

  /** joined answers the newest subscribe command with a room. */
  joined(room: number, position = "n.1"): number {
    const { id } = this.socket.last("subscribe");
    this.socket.tell({ id, subscribed: { room, position, recovered: true } });
    return id;
  }
}
