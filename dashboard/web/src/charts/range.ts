import type { SeriesRing } from "../core/rings";
import { joined, type Past, type Points } from "../core/seam";
import type { Track } from "../core/state/series";
import type { ViewMode } from "../core/state/view";
import type { PlotData } from "./plot";

/** shownValue is the value to show of a series: the newest, or that of the pause. */
export function shownValue(track: Track, mode: ViewMode): number {
  return mode.name === "paused" ? track.ring.valueAt(mode.at) : track.ring.newest;
}

/** Points closer than this are always joined, ms: a busy series comes as ten conflated points a second. */
const joinedWithin = 500;

/** Range is a part of time, ms. One that is held does not move with it. */
export interface Range {
  from: number;
  to: number;
  held: boolean;
}

/** A window is not cut to less than this, ms, however little there is to show. */
const shortestWindow = 60_000;

/**
 * rangeOf is what the charts show, ms: the window up to now, the pause, or the range that is explored. A window that reaches
 * back to before there was anything begins there, at since (ms; NaN where that is not known).
 */
export function rangeOf(mode: ViewMode, now: () => number, window: number, since = Number.NaN): Range {
  if (mode.name === "exploring") return { from: mode.from, to: mode.to, held: true };
  const to = mode.name === "paused" ? mode.at : now();
  const begin = Number.isNaN(since) ? Number.NEGATIVE_INFINITY : Math.min(since, to - shortestWindow);
  return { from: Math.max(to - window, begin), to, held: mode.name === "paused" };
}

/** The newest distances between points that tell what is usual, and the part of them that is. */
const looksAt = 64;
const usual = 0.9;

/**
 * gapAfter is the distance from which two points are not joined, ms: 2.5 times what is usual in this series, so that one that
 * speaks once a minute, or whenever something changes, is not torn apart by the interval of another.
 */
export function gapAfter(times: Float64Array): number {
  const newest = times.subarray(Math.max(0, times.length - looksAt));
  if (newest.length < 2) return Number.POSITIVE_INFINITY;
  const distances = new Float64Array(newest.length - 1);
  for (let i = 0; i < distances.length; i++) distances[i] = newest[i + 1] - newest[i];
  distances.sort();
  return Math.max(joinedWithin, 2.5 * distances[Math.floor((distances.length - 1) * usual)]);
}

/** What a series last said is old when it has been silent for longer than it is wont to, ms. */
const rarely = 60_000;
const atLeast = 10_000;

/** silence is for how long a series has said nothing where that is longer than it is wont to, else NaN; ms. */
export function silence(times: Float64Array, now: number): number {
  const usual = gapAfter(times);
  const silent = now - times[times.length - 1];
  return silent > (Number.isFinite(usual) ? Math.max(usual, atLeast) : rarely) ? silent : Number.NaN;
}

/**
 * gapIn is gapAfter for points that are first a past and then live ones, which may be closer together by much: what is usual
 * in either joins them.
 */
function gapIn(past: Past | undefined, ring: SeriesRing): number {
  const live = gapAfter(ring.times());
  if (past === undefined || past.times.length < 2) return live;
  const before = Math.max(gapAfter(past.times), 2.5 * past.step);
  return Number.isFinite(live) ? Math.max(live, before) : before;
}

/**
 * trackData is the points of a series in a range, and one on each side so that the line enters and leaves: its past as far as
 * it is known, and the live points. While the range is held they are copied, since the ring goes on beneath.
 */
export function trackData(track: Track, past: Past | undefined, range: Range, color: string): PlotData {
  const points = joined(past, track.ring, range.from, range.to);
  const own = (column: Float64Array) => (range.held ? column.slice() : column);
  const values = own(points.last);
  const line = { name: track.meta.name, color, values, steps: track.meta.unit === "" && isSwitch(points) };
  return {
    times: own(points.times),
    lines: [points.conflated ? { ...line, min: own(points.min), max: own(points.max) } : line],
    from: range.from,
    to: range.to,
    gapAfter: gapIn(past, track.ring),
  };
}

/** isSwitch reports that a series is on or off and nothing between, as far as it is seen: then it goes in steps. */
function isSwitch({ last, min, max }: Points): boolean {
  const bit = (value: number) => value === 0 || value === 1;
  return last.includes(1) && last.every(bit) && min.every(bit) && max.every(bit);
}

/** What ends this close to now, as a part of its length, is now: time goes on while one looks. */
const nearNow = 1 / 20;

/** shifted is a range moved by half of its length, back or on, but not beyond now; undefined where that is now itself. */
export function shifted(range: Range, step: -1 | 1, now: number): { from: number; to: number } | undefined {
  const length = range.to - range.from;
  const to = range.to + (step * length) / 2;
  return to >= now - length * nearNow ? undefined : { from: to - length, to };
}
