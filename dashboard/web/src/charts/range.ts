import type { Track } from "../core/state/series";
import type { ViewMode } from "../core/state/view";
import type { PlotData } from "./plot";

/** Points closer than this are always joined, ms: a busy series comes as ten conflated points a second. */
const joinedWithin = 500;

/** rangeOf is what the charts show, ms: the window up to now, the pause, or the range that is explored. */
export function rangeOf(mode: ViewMode, now: number, window: number): { from: number; to: number; held: boolean } {
  if (mode.name === "exploring") return { from: mode.from, to: mode.to, held: true };
  return { from: now - window, to: now, held: mode.name === "paused" };
}

/** gapAfter is the distance from which two points are not joined: 2.5 of the device's own intervals. Milliseconds. */
export function gapAfter(interval: number): number {
  return interval > 0 ? Math.max(joinedWithin, 2.5 * interval) : Number.POSITIVE_INFINITY;
}

/**
 * trackData is the points of a series in a range, and one on each side so that the line enters and leaves. While the range is
 * held the points are copied, since the ring goes on beneath.
 */
export function trackData(
  track: Track,
  range: { from: number; to: number; held: boolean },
  interval: number,
  color: string,
): PlotData {
  const { ring } = track;
  const first = Math.max(0, ring.lowerBound(range.from) - 1);
  const last = Math.min(ring.length, ring.lowerBound(range.to + 1) + (range.held ? 1 : 0));
  const own = (points: Float64Array) => (range.held ? points.slice() : points);
  const line = { name: track.meta.name, color, values: own(ring.lasts(first, last)) };
  return {
    times: own(ring.times(first, last)),
    lines: [ring.conflated ? { ...line, min: own(ring.mins(first, last)), max: own(ring.maxs(first, last)) } : line],
    from: range.from,
    to: range.to,
    gapAfter: gapAfter(interval),
  };
}
