import { view } from "../app/live";
import { place } from "../app/place.svelte";
import { preferences } from "../app/preferences";
import { widen } from "../app/range.svelte";
import { theme } from "../app/theme.svelte";

/** After `g` the next key must come within this time. Milliseconds. */
const goWithin = 1_200;
const screens: Record<string, "overview" | "devices" | "topics" | "boards" | "alerts" | "errors"> = {
  o: "overview",
  d: "devices",
  t: "topics",
  b: "boards",
  a: "alerts",
  e: "errors",
};
let wentAt = 0;

/** Overlay is what lies over the screen. */
export type Overlay = "" | "help" | "palette" | "travel";

const fields = "input, textarea, select, [contenteditable], dialog[open]";

/**
 * catchKey hears keys before all others: ⌘K or Ctrl+K opens the palette from wherever the person is, and single keys that are
 * switched off are heard by nobody.
 */
export function catchKey(event: KeyboardEvent, open: (overlay: Overlay) => void): void {
  const { key } = event;
  if ((event.metaKey || event.ctrlKey) && !event.altKey && !event.shiftKey && key.toLowerCase() === "k") {
    event.preventDefault();
    event.stopImmediatePropagation();
    open("palette");
    return;
  }
  if (preferences.singleKeys || key.length !== 1 || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  // Space is what presses a button.
  if (target.closest(fields) || (key === " " && target.closest("button, a, summary, [role]"))) return;
  event.stopImmediatePropagation();
}

/** handleKey does what a single key means on every screen. A field being written in keeps its keys, but for Escape. */
export function handleKey(event: KeyboardEvent, open: (overlay: Overlay) => void): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target.closest("dialog[open]")) return;
  if (target.closest(fields)) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (event.key === " " && target.closest("button, a, summary, [role=tab]")) return;
  if (act(event.key, open)) event.preventDefault();
}

function act(key: string, open: (overlay: Overlay) => void): boolean {
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
      open("help");
      return true;
    case "/": {
      const field = document.querySelector<HTMLInputElement>("[data-filter]");
      if (field === null) open("palette");
      field?.focus();
      field?.select();
      return true;
    }
    case " ":
      view.toggle();
      return true;
    case "[":
    case "]":
      widen(key === "[" ? -1 : 1);
      return true;
    case "l":
      view.backToLive();
      return true;
    case "t":
      theme.toggle();
      return true;
    case "c":
      place.toggleChat();
      return true;
    case "Escape":
      if (view.mode.name === "exploring") view.backToLive();
      return false;
    default:
      return false;
  }
}
