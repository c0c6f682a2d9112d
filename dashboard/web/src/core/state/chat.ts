import { Store } from "../frame";
import type { ChatMessage, Frame, Member } from "../wire/types";

/** Messages kept of each channel, and channels in all. */
export const messageLimit = 500;
export const channelLimit = 200;
/** Messages that are being written, one in each channel, of which the last touched are kept; and how long one may be. */
const draftLimit = 20;
export const textLimit = 4_000;

interface Channel {
  messages: ChatMessage[];
  members: Member[];
  /** seen counts messages up to which the person has read. */
  unread: number;
}

/** ChatStore is what was said in each channel and who is there. */
export class ChatStore extends Store {
  #channels = new Map<string, Channel>();
  readonly #drafts = new Map<string, string>();
  #loaded = false;
  #open = "";

  get loaded(): boolean {
    return this.#loaded;
  }

  channels(): string[] {
    return [...this.#channels.keys()].sort();
  }

  messages(channel: string): readonly ChatMessage[] {
    return this.#channels.get(channel)?.messages ?? [];
  }

  present(channel: string): readonly Member[] {
    return this.#channels.get(channel)?.members ?? [];
  }

  unread(channel: string): number {
    return this.#channels.get(channel)?.unread ?? 0;
  }

  get unreadTotal(): number {
    let sum = 0;
    for (const channel of this.#channels.values()) sum += channel.unread;
    return sum;
  }

  /** draft is what is being written in a channel. */
  draft(channel: string): string {
    return this.#drafts.get(channel) ?? "";
  }

  /** write keeps what is being written, so that it is there again when the panel is. */
  write(channel: string, text: string): void {
    this.#drafts.delete(channel);
    if (text !== "") this.#drafts.set(channel, text.slice(0, textLimit));
    for (const oldest of this.#drafts.keys()) {
      if (this.#drafts.size <= draftLimit) break;
      this.#drafts.delete(oldest);
    }
  }

  /** full reports that there are more channels than are kept. */
  get full(): boolean {
    return this.#channels.size >= channelLimit;
  }

  /** look says which channel is on the screen ("" for none): what arrives there is read. */
  look(channel: string): void {
    this.#open = channel;
    const open = this.#channels.get(channel);
    if (open === undefined || open.unread === 0) return;
    open.unread = 0;
    this.changed();
  }

  apply(frame: Frame, snapshot: boolean): void {
    const { chat } = frame;
    if (chat === undefined) return;
    if (snapshot) {
      // Who is there is told anew; what was said is merged below, by position.
      for (const channel of this.#channels.values()) channel.members = [];
    }
    for (const name of chat.channels) this.#channel(name);
    for (const message of chat.messages) this.#add(message, snapshot);
    for (const { channel, members } of chat.present) {
      const known = this.#channel(channel);
      if (known !== undefined) known.members = members;
    }
    this.#loaded = true;
    this.changed();
  }

  #add(message: ChatMessage, snapshot: boolean): void {
    const channel = this.#channel(message.channel);
    if (channel === undefined) return;
    const { messages } = channel;
    const repeated =
      snapshot || message.position !== "" ? messages.some((m) => m.position === message.position) : false;
    if (repeated) return;
    messages.push(message);
    if (snapshot) messages.sort((a, b) => a.time - b.time);
    if (messages.length > messageLimit) messages.splice(0, messages.length - messageLimit);
    // What was said before this page was opened is not news; what was said while the connection was lost is.
    if (message.channel !== this.#open && (!snapshot || this.#loaded)) channel.unread++;
  }

  #channel(name: string): Channel | undefined {
    let channel = this.#channels.get(name);
    if (channel === undefined && this.#channels.size < channelLimit) {
      channel = { messages: [], members: [], unread: 0 };
      this.#channels.set(name, channel);
    }
    return channel;
  }
}
