import type { Command, Reply, WireError } from "./wire/types";

/** Wish is a command without its number. */
export type Wish = Command extends infer C ? (C extends { id: number } ? Omit<C, "id"> : never) : never;

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

/** lost is why a command failed whose link was lost before the reply. */
export const lost: WireError = { code: "disconnected", message: "not connected to the hub", retry: true };

/** Pending is what waits for the reply to a command. */
export interface Pending {
  sentAt: number;
  done: (reply: Reply) => void;
  failed: (error: WireError) => void;
}
