import { view } from "../app/live";
import { place } from "../app/place.svelte";
import { theme } from "../app/theme.svelte";

/** After `g` the next key must come within this time. Milliseconds. */
const goWithin = 1_200;
const screens: Record<string, "overview" | "devices" | "topics"> = { o: "overview", d: "devices", t: "topics" };
let wentAt = 0;

/** handleKey does what a single key means on every screen. A field being written in keeps its keys, but for Escape. */
export function handleKey(event: KeyboardEvent, help: () => void): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target.closest("dialog[open]")) return;
  if (target.closest("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (event.key === " " && target.closest("button, a, summary, [role=tab]")) return;
  if (act(event.key, help)) event.preventDefault();
}

function act(key: string, help: () => void): boolean {
  if (Date.now() - wentAt < goWithin) {
    wentAt = 0;
    const name = screens[key];
    if (name !== undefined) {
      place.go({ name });
      return true;
    }
  }
  switch (key) {
    case "g":
      wentAt = Date.now();
      return true;
    case "?":
      help();
      return true;
    case "/": {
      const field = document.querySelector<HTMLInputElement>("[data-filter]");
      field?.focus();
      field?.select();
      return true;
    }
    case " ":
      view.toggle();
      return true;
    case "l":
      view.backToLive();
      return true;
    case "t":
      theme.toggle();
      return true;
    case "c":
      place.set({ chat: place.param("chat") === "open" ? "" : "open" });
      return true;
    case "Escape":
      if (view.mode.name === "exploring") view.backToLive();
      return false;
    default:
      return false;
  }
}
