import { lowerBound, type SeriesRing } from "./rings";

/** Past is what the hub has kept of a series, up to where the live points take over. */
export interface Past {
  times: Float64Array;
  min: Float64Array;
  max: Float64Array;
  last: Float64Array;
  /** step is what each point stands for, ms; 0 where the points are the samples themselves. */
  step: number;
  /** until is the time up to which was asked for, not included. */
  until: number;
}

/** Points are columns of equal length in time order. */
export interface Points {
  times: Float64Array;
  min: Float64Array;
  max: Float64Array;
  last: Float64Array;
  /** conflated reports that min and max may differ from last. */
  conflated: boolean;
}

/**
 * liveFrom is the time from which on the live points count. Where the past is samples it is just behind the newest of them,
 * so that none is there twice, and none is missing that the hub had received and not yet kept when it answered. A step may
 * hold samples of all its length, so there it is the time that was asked for.
 */
export function liveFrom(past: Past | undefined): number {
  if (past === undefined || past.times.length === 0) return Number.NEGATIVE_INFINITY;
  return past.step > 0 ? past.until : past.times[past.times.length - 1] + 0.5;
}

/**
 * joined is the points of a series from one time to another, both included, and one more on each side so that the line enters
 * and leaves: first those of the past, then the live ones. Where only one of them has any, they are views and not copies.
 */
export function joined(past: Past | undefined, ring: SeriesRing, from: number, to: number): Points {
  const start = liveFrom(past);
  const first = Math.max(ring.lowerBound(start), ring.lowerBound(from) - 1, 0);
  const last = Math.max(first, Math.min(ring.length, ring.lowerBound(to + 1) + 1));
  const live: Points = {
    times: ring.times(first, last),
    min: ring.mins(first, last),
    max: ring.maxs(first, last),
    last: ring.lasts(first, last),
    conflated: ring.conflated,
  };
  if (past === undefined || past.times.length === 0) return live;
  const begin = Math.max(0, lowerBound(past.times, from) - 1);
  const end = Math.max(begin, Math.min(past.times.length, lowerBound(past.times, to + 1) + 1));
  const before: Points = {
    times: past.times.subarray(begin, end),
    min: past.min.subarray(begin, end),
    max: past.max.subarray(begin, end),
    last: past.last.subarray(begin, end),
    conflated: past.step > 0,
  };
  if (live.times.length === 0) return before;
  if (before.times.length === 0) return live;
  return {
    times: concat(before.times, live.times),
    min: concat(before.min, live.min),
    max: concat(before.max, live.max),
    last: concat(before.last, live.last),
    conflated: before.conflated || live.conflated,
  };
}

function concat(a: Float64Array, b: Float64Array): Float64Array {
  const both = new Float64Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
