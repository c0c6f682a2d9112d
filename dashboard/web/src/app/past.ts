/** Speeds at which the past can be shown; 0 stands still. */
export const speeds = [1, 2, 5, 10, 30, 60] as const;

/** Range is a piece of the past, ms since the Unix epoch. */
export interface Range {
  from: number;
  to: number;
}

/**
 * Journey is what the past is shown of: asked is where it began, ms since the Unix epoch, speed how many times as fast as it was. It
 * stands still at the end of its range; without one it goes on to the present.
 */
export interface Journey {
  asked: number;
  speed: number;
  range?: Range;
}

/** journeyOf reads a journey out of a query; undefined where it asks for the present. */
export function journeyOf(search: string): Journey | undefined {
  const params = new URLSearchParams(search);
  const range = rangeOf(params.get("replay") ?? "");
  const at = Number(params.get("at") ?? range?.from);
  const speed = Number(params.get("speed") ?? "1");
  if (!Number.isSafeInteger(at) || at <= 0) return undefined;
  return {
    asked: range === undefined ? at : Math.min(Math.max(at, range.from), range.to),
    speed: speed >= 0 && speed <= 60 ? speed : 1,
    ...(range && { range }),
  };
}

function rangeOf(text: string): Range | undefined {
  const [from, to] = (/^([1-9]\d*)-([1-9]\d*)$/.exec(text) ?? []).slice(1).map(Number);
  return from < to && Number.isSafeInteger(to) ? { from, to } : undefined;
}

/** paramsOf are a journey's in a query; empty those that it has not. */
export function paramsOf(journey?: Journey): Record<string, string> {
  if (journey === undefined) return { at: "", replay: "", speed: "" };
  const { asked, speed, range } = journey;
  return {
    at: String(Math.floor(asked)),
    replay: range === undefined ? "" : `${Math.floor(range.from)}-${Math.floor(range.to)}`,
    speed: String(speed),
  };
}

/** journey is that of this page, for as long as it lives: another begins with another page, so that nothing of two times is mixed. */
export const journey = journeyOf(location.search);

/** pastPath is where the hub shows the past from a time on, up to another, if there is one. */
export function pastPath(from: number, speed: number, to?: number): string {
  return `/ws/past?from=${Math.floor(from)}${to === undefined ? "" : `&to=${to}`}&speed=${speed}`;
}
