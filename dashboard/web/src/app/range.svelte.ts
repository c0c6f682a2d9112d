import { rangeOf, shifted } from "../charts/range";
import { shortest } from "../core/state/view";
import { clock, view } from "./live";
import { now } from "./now.svelte";
import { place } from "./place.svelte";

/** What the charts can show up to now, seconds. */
export const windows = [60, 300, 900, 3600, 21_600, 86_400, 604_800];
const usual = 300;

/** span is how far back the charts of all screens reach, seconds. */
export function span(): number {
  return windows.find((seconds) => String(seconds) === place.param("window")) ?? usual;
}

/** show has the charts reach back as far from now on. */
export function show(seconds: number): void {
  if (view.mode.name === "exploring") view.backToLive();
  place.keep({ window: seconds === usual ? "" : String(seconds) });
}

/** move shows what was half a range earlier, or later, up to now. */
export function move(step: -1 | 1): void {
  const to = shifted(rangeOf(view.mode, now, span() * 1000), step, clock.now());
  if (to !== undefined) view.explore(to.from, to.to);
  else if (view.mode.name === "exploring") view.backToLive();
}

/** widen shows the next longer window up to now, or the next shorter one; what is explored is doubled or halved. */
export function widen(step: -1 | 1): void {
  const { mode } = view;
  if (mode.name === "exploring") zoom(mode.from, mode.to, (mode.from + mode.to) / 2, 2 ** step);
  else show(windows[windows.indexOf(span()) + step] ?? span());
}

/** zoom shows a part of a range, or more than it, with the same time at the same place. */
export function zoom(from: number, to: number, at: number, by: number): void {
  const length = Math.max(shortest, (to - from) * by);
  const start = at - ((at - from) / (to - from)) * length;
  const end = Math.min(start + length, clock.now());
  view.explore(end - length, end);
}

/** begin explores the range that the URL names; from then on the URL names the one that is explored. */
export function begin(): void {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(place.param("range")) ?? [];
  if (Number(to) - Number(from) >= shortest) view.explore(Number(from), Number(to));
  if (place.param("window") !== "") place.keep({ window: place.param("window") });
  view.subscribe(() => {
    const { mode } = view;
    const range = mode.name === "exploring" ? `${Math.round(mode.from)}-${Math.round(mode.to)}` : "";
    if (range !== place.param("range")) place.keep({ range });
  });
}
