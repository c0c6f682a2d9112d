import type { SeriesRing } from "../core/rings";
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
export function gapAfter(ring: SeriesRing): number {
  const times = ring.times(Math.max(0, ring.length - looksAt));
  if (times.length < 2) return Number.POSITIVE_INFINITY;
  const distances = new Float64Array(times.length - 1);
  for (let i = 0; i < distances.length; i++) distances[i] = times[i + 1] - times[i];
  distances.sort();
  return Math.max(joinedWithin, 2.5 * distances[Math.floor((distances.length - 1) * usual)]);
}

/**
 * trackData is the points of a series in a range, and one on each side so that the line enters and leaves. While the range is
 * held the points are copied, since the ring goes on beneath.
 */
export function trackData(track: Track, range: Range, color: string): PlotData {
  const { ring } = track;
  const first = Math.max(0, ring.lowerBound(range.from) - 1);
  const last = Math.min(ring.length, ring.lowerBound(range.to + 1) + 1);
  const own = (points: Float64Array) => (range.held ? points.slice() : points);
  const line = { name: track.meta.name, color, values: own(ring.lasts(first, last)) };
  return {
    times: own(ring.times(first, last)),
    lines: [ring.conflated ? { ...line, min: own(ring.mins(first, last)), max: own(ring.maxs(first, last)) } : line],
    from: range.from,
    to: range.to,
    gapAfter: gapAfter(ring),
  };
}
