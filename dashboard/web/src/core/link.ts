import { encodeCommand, parse, subprotocol } from "./wire/proto";
import type { Command, Message } from "./wire/types";

/** Link is one way to a hub for as long as it lasts: a WebSocket, or what stands in for it. */
export interface Link {
  onopen: (() => void) | null;
  onmessage: ((message: Message) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  /** send throws where a command is none that can be said. */
  send(command: Command): void;
  close(): void;
}

/** Over is what a link goes over. */
export type Over = "ws" | "sse";

/** broken is the code of a link that ended without a word of the hub's (RFC 6455, 7.1.5). */
export const broken = 1006;

/** openLink opens a link to the hub that this page is from; path is that of WebSockets. */
export function openLink(over: Over, path: string): Link {
  return over === "ws" ? new SocketLink(location.origin.replace(/^http/, "ws") + path) : new StreamLink();
}

/** answers reports whether the hub is there for plain requests. Where it wants a login, it is led to. */
export async function answers(): Promise<boolean> {
  try {
    const { ok, status } = await fetch("/api/v1/past", { cache: "no-store" });
    if (status === 401) location.reload();
    return ok;
  } catch {
    return false;
  }
}

abstract class Events {
  onopen: Link["onopen"] = null;
  onmessage: Link["onmessage"] = null;
  onclose: Link["onclose"] = null;
}

/** SocketLink is a WebSocket of the binary form. */
class SocketLink extends Events implements Link {
  readonly #socket: WebSocket;

  constructor(url: string) {
    super();
    this.#socket = new WebSocket(url, subprotocol);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.onopen?.();
    this.#socket.onmessage = ({ data }) => {
      this.onmessage?.(data instanceof ArrayBuffer ? parse(data) : { kind: "bad", reason: "not binary" });
    };
    this.#socket.onclose = (event) => this.onclose?.(event);
  }

  send(command: Command): void {
    const bytes = encodeCommand(command);
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(bytes);
  }

  close(): void {
    this.#socket.close();
  }
}

/** Commands, and characters of them, that go in one request at most: half of what the hub takes, as one may have three bytes. */
const batchCommands = 64;
const batchLength = 256 << 10;

/**
 * StreamLink is a session over server-sent events: the same bytes as a WebSocket's, in base64. Commands are posted in their order,
 * one request at a time.
 */
export class StreamLink extends Events implements Link {
  readonly #source = new EventSource("/sse?encoding=proto");
  #token = "";
  #queue: string[] = [];
  #posting = false;

  constructor() {
    super();
    this.#source.addEventListener("session", ({ data }) => {
      this.#token = JSON.parse(data).session;
      this.onopen?.();
    });
    this.#source.addEventListener("close", ({ data }) => this.#end(JSON.parse(data).code));
    this.#source.onmessage = ({ data }) => this.onmessage?.(parse(bytesOf(data)));
    // It would come back by itself, as another session: when to try again is the connection's to say.
    this.#source.onerror = () => this.#end(broken);
  }

  send(command: Command): void {
    this.#queue.push(JSON.stringify(command));
    void this.#post();
  }

  close(): void {
    this.#source.close();
    this.#queue = [];
  }

  async #post(): Promise<void> {
    if (this.#posting) return;
    this.#posting = true;
    while (this.#queue.length > 0) {
      let [count, length] = [0, 0];
      do length += this.#queue[count++].length;
      while (count < this.#queue.length && count < batchCommands && length < batchLength);
      const body = `[${this.#queue.splice(0, count).join(",")}]`;
      try {
        const headers = { "Pulso-Session": this.#token };
        if (!(await fetch("/api/v1/session", { method: "POST", headers, body })).ok) throw new Error("refused");
      } catch {
        this.#end(broken);
      }
    }
    this.#posting = false;
  }

  #end(code: number): void {
    this.close();
    this.onclose?.({ code, reason: "" });
  }
}

/** bytesOf decodes base64; what is none has no bytes, which are no message. */
function bytesOf(base64: string): Uint8Array {
  try {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  } catch {
    return new Uint8Array();
  }
}
