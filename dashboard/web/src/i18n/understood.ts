import { enUnderstood } from "./en.understood";

/** u is the words of how messages are understood. */
export const u = enUnderstood;
