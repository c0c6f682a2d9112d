import { MediaQuery } from "svelte/reactivity";

/** phone is true on a narrow screen: there the chat is a screen of its own, not a panel beside one. */
export const phone = new MediaQuery("max-width: 720px");
