import { type Api, ApiError, type PastSeries } from "../api";
import { type Frames, Store } from "../frame";
import type { Past } from "../seam";
import type { Series } from "../wire/types";
import type { Track } from "./series";

/** What the hub has received it has kept after this long, ms; what is younger comes from the live points. */
const keptAfter = 5_000;
/** An answer is renewed after this part of what it spans, but not sooner than this, ms. */
const renewedAfter = 1 / 20;
const renewedAtLeast = 60_000;
/** The live points behind the joint may take this part of a ring before the past is asked for again. */
const full = 3 / 4;
/** Where points are summed up, a range this much shorter than what was asked for is asked for anew, to see more of it. */
const finer = 2;
/** How long to wait after a failure, at first and at most, ms. */
const waitsFirst = 2_000;
const waitsMost = 60_000;

/** Wish is what the charts show. */
export interface Wish {
  from: number;
  to: number;
  /** now is the hub's time. */
  now: number;
  /** points that each series is to have at most, about. */
  points: number;
  tracks: readonly Track[];
  /** renewed changes when the live points may have a hole: after the connection was lost. */
  renewed: number;
}

interface Asked {
  from: number;
  until: number;
  at: number;
  renewed: number;
  points: number;
}

/** What is asked for before and after a range, as a part of its length. */
const beside = 0.05;

/** HistoryStore holds the past of one device's series, as much of it as the charts show, and asks for more when they need it. */
export class HistoryStore extends Store {
  readonly #api: Api;
  readonly #device: string;
  readonly #fields: readonly string[];
  #pasts = new Map<string, Past>();
  #oldest = Number.NaN;
  #asking: Asked | undefined;
  #answered: Asked | undefined;
  #abort: AbortController | undefined;
  #problem: ApiError | undefined;
  #retryAt = 0;
  #waits = waitsFirst;

  /** fields are the metrics that are wanted; none: all. */
  constructor(frames: Frames, api: Api, device: string, fields: readonly string[] = []) {
    super(frames);
    this.#fields = fields;
    this.#api = api;
    this.#device = device;
  }

  get loading(): boolean {
    return this.#asking !== undefined;
  }

  /** problem is why the past is not there; undefined while all is well. */
  get problem(): ApiError | undefined {
    return this.#problem;
  }

  /** oldest is the time of the first point of all series; NaN where there is none. */
  get oldest(): number {
    return this.#oldest;
  }

  /** of is the past of a series; undefined where nothing has come. */
  of(series: Pick<Series, "topic" | "name">): Past | undefined {
    return this.#pasts.get(keyOf(series.topic, series.name));
  }

  /** follow asks the hub if the charts show what is not here yet. It is called when they move, and now and then. */
  follow(wish: Wish): void {
    const asked = this.#asking ?? this.#answered;
    if (asked !== undefined && this.#suffices(asked, wish)) return;
    if (this.#problem !== undefined && wish.now < this.#retryAt && this.#asking === undefined) return;
    const { to, now, renewed, points } = wish;
    // A little more on both sides, so that a line enters and leaves.
    const margin = Math.round((to - wish.from) * beside);
    const from = Math.max(0, wish.from - margin);
    // Where the newest is older than all of it, there is a millisecond to ask for, and nothing in it.
    const until = Math.max(from + 1, untilOf({ ...wish, to: to + margin }));
    void this.#ask({ from, until, at: now, renewed, points });
  }

  close(): void {
    this.#abort?.abort();
  }

  #suffices(asked: Asked, wish: Wish): boolean {
    if (wish.from < asked.from || wish.renewed !== asked.renewed) return false;
    const span = asked.until - asked.from;
    const summed = this.#asking === undefined && [...this.#pasts.values()].some((past) => past.step > 0);
    if (summed && (wish.to - wish.from) * finer < span) return false;
    if (wish.to < asked.until) return true;
    if (wish.now - asked.at > Math.max(renewedAtLeast, span * renewedAfter)) return false;
    return wish.tracks.every(({ ring }) => ring.length - ring.lowerBound(asked.until) < ring.capacity * full);
  }

  async #ask(asked: Asked): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.#asking = asked;
    this.changed();
    try {
      const { from, until, points } = asked;
      const query = { device: this.#device, fields: this.#fields, from, to: until - 1, points };
      const series = await this.#api.history(query, abort.signal);
      if (abort.signal.aborted) return;
      this.#pasts = new Map(series.map((one) => [keyOf(one.topic, one.field), pastOf(one, until)]));
      const first = Math.min(...[...this.#pasts.values()].map(({ times }) => times[0] ?? Number.POSITIVE_INFINITY));
      this.#oldest = Number.isFinite(first) ? first : Number.NaN;
      this.#answered = asked;
      this.#problem = undefined;
      this.#waits = waitsFirst;
    } catch (e) {
      if (abort.signal.aborted) return;
      this.#problem = e instanceof ApiError ? e : new ApiError(0, String(e));
      this.#retryAt = asked.at + this.#waits;
      this.#waits = Math.min(waitsMost, 2 * this.#waits);
    }
    this.#asking = undefined;
    this.changed();
  }
}

/**
 * untilOf is where the past ends and the live points begin: far enough back that the hub has kept what was before, by the clock
 * of the device, which may be behind; but not where the live points have a hole.
 */
function untilOf({ now, to, tracks }: Wish): number {
  const rings = tracks.filter(({ ring }) => ring.length > 0);
  const newest = Math.max(...rings.map(({ ring }) => ring.newestTime));
  const kept = (rings.length === 0 ? now : Math.min(now, newest)) - keptAfter;
  const whole = rings.map(({ ring, wholeSince }) => Math.max(wholeSince, ring.oldestTime));
  return Math.floor(Math.min(Math.max(kept, ...whole), to + 1));
}

/** pastOf puts what stands for a step at its end, where its last value was: before it there may have been nothing. */
function pastOf(series: PastSeries, until: number): Past {
  const { times, min, max, last, step } = series;
  return { times: step > 0 ? times.map((time) => Math.min(time + step, until)) : times, min, max, last, step, until };
}

function keyOf(topic: string, field: string): string {
  return `${topic}\n${field}`;
}
