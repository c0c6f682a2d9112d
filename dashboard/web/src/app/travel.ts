import { withParams } from "../core/router";
import { clock, connection } from "./live";
import { type Journey, journey, paramsOf, type Range } from "./past";
import { place } from "./place.svelte";

/** Span is what the hub still holds: from its first event to its now, ms. */
export interface Span {
  first: number;
  now: number;
  /** full reports that the hub shows the past to as many screens as it may. */
  full: boolean;
}

/** span asks the hub what it holds; undefined where it does not tell. */
export async function span(): Promise<Span | undefined> {
  try {
    const { first, now, open, max_open } = (await (await fetch("/api/v1/past")).json()) as Record<string, number>;
    return Number.isFinite(first) && Number.isFinite(now) ? { first, now, full: open >= max_open } : undefined;
  } catch {
    return undefined;
  }
}

/** travel begins at another moment, with a page that knows nothing of this one's, and stands still at the end of a range. */
export function travel(asked: number, speed: number, range?: Range): void {
  go({ asked, speed, ...(range && { range }) });
}

/** backToLive leaves the past. */
export function backToLive(): void {
  go();
}

function go(journey?: Journey): void {
  place.kept = {};
  location.assign(location.pathname + withParams(location.search, { ...paramsOf(journey), range: "" }));
}

/** hasten goes on from where the past is at another speed; 0 stands still. Beyond leaves the range behind. */
export function hasten(speed: number, beyond = false): void {
  if (journey === undefined) return;
  const asked = clock.now();
  Object.assign(journey, { asked, speed });
  if (beyond) delete journey.range;
  clock.run(speed, asked, journey.range?.to);
  place.keep(paramsOf(journey));
  connection.connect();
}
