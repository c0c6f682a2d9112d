import { en } from "./en";

/** t is the words of the chosen language. */
export const t = en;
