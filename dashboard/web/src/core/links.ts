import { parseRoute } from "./router";

/** Piece is a part of a message: text, or a link to a screen of ours. */
export interface Piece {
  text: string;
  /** href is a path within this page; empty for text. */
  href: string;
}

/** Links of one message at most; what looks like a further one stays text. */
const linkLimit = 20;
const candidates = /(?<![^\s(])\/[^\s<>"'`]*/g;
const trailing = /[.,;:!?)\]]+$/;

/**
 * pieces finds the links in a message: paths of screens that there are, on this hub, and nothing else. Whatever another person or a
 * device wrote stays text; only what the router itself would show becomes a link, rebuilt from what a URL parser made of it.
 */
export function pieces(text: string, origin: string): Piece[] {
  const list: Piece[] = [];
  let at = 0;
  let links = 0;
  for (const match of text.matchAll(candidates)) {
    const path = match[0].replace(trailing, "");
    const href = links < linkLimit ? ownPath(path, origin) : "";
    if (href === "") continue;
    if (match.index > at) list.push({ text: text.slice(at, match.index), href: "" });
    list.push({ text: path, href });
    at = match.index + path.length;
    links++;
  }
  if (at < text.length || list.length === 0) list.push({ text: text.slice(at), href: "" });
  return list;
}

function ownPath(path: string, origin: string): string {
  if (path.length < 2) return "";
  let url: URL;
  try {
    url = new URL(path, origin);
  } catch {
    return "";
  }
  // Two slashes lead to another host, and a backslash counts as one.
  if (url.origin !== origin || parseRoute(url.pathname).name === "unknown" || url.pathname === "/") return "";
  return url.pathname + url.search;
}
