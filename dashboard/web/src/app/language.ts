import { mount, unmount } from "svelte";
import App from "../App.svelte";
import { formatFor } from "../core/format";
import { type Language, languages, speak } from "../i18n";
import { preferences } from "./preferences";

let mounted: object | undefined;

/** language is the one that is spoken: what the person chose, else the first of the browser's that there is, else English. */
export function language(chosen: string = preferences.language): Language {
  const wished = [chosen, ...navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())];
  return wished.find((tag): tag is Language => tag in languages) ?? "en";
}

/** show mounts the dashboard in its language. What is on the screen stands in the URL and in the stores, so nothing of it is lost. */
export async function show(): Promise<void> {
  const chosen = language();
  await speak(chosen);
  document.documentElement.lang = chosen;
  formatFor(navigator.languages.find((tag) => tag.toLowerCase().startsWith(chosen)) ?? chosen);
  const focused = document.activeElement?.id ?? "";
  const target = document.getElementById("app") as HTMLElement;
  const scroll = scrolled(target);
  if (mounted !== undefined) await unmount(mounted);
  mounted = mount(App, { target });
  if (focused !== "") document.getElementById(focused)?.focus();
  scroll();
}

/** choose speaks another language from now on; "" is the browser's. */
export async function choose(chosen: Language | ""): Promise<void> {
  preferences.language = chosen;
  await show();
}

/** What is mounted again may take so long until it is as long as it was, ms. */
const settles = 1_000;

/** scrolled remembers how far each part of the page was scrolled, by its place in the tree, and returns what scrolls there again. */
function scrolled(target: HTMLElement): () => void {
  const parts = [...target.querySelectorAll("*")]
    .filter((part) => part.scrollTop > 0)
    .map((part) => ({ path: pathTo(part, target), top: part.scrollTop }));
  return () => {
    const until = performance.now() + settles;
    const restore = () => {
      const missing = parts.filter(({ path, top }) => {
        const part = target.querySelector(path);
        part?.scrollTo(0, top);
        return part === null || part.scrollTop < top;
      });
      if (missing.length > 0 && performance.now() < until) requestAnimationFrame(restore);
    };
    restore();
  };
}

function pathTo(part: Element, target: HTMLElement): string {
  const steps: string[] = [];
  for (let at = part; at !== target && at.parentElement !== null; at = at.parentElement) {
    steps.unshift(`:nth-child(${[...at.parentElement.children].indexOf(at) + 1})`);
  }
  return `:scope > ${steps.join(" > ")}`;
}
