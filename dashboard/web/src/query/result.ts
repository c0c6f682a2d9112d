import type { PlotData } from "../charts/plot";

/** Row is one series of an answer; values stand at the times of the answer's grid, NaN where there is none. */
export interface Row {
  name: string;
  values: Float64Array;
  /** last is the value at the end of the grid, NaN where there is none. */
  last: number;
}

export interface Answer {
  times: Float64Array;
  rows: Row[];
}

/** Series that are drawn, and that are listed. */
export const drawLimit = 50;
export const listLimit = 200;

/** answerOf reads what /api/v1/query_range answers, from start to end by step, ms; series of the highest newest value first. */
export function answerOf(data: unknown, start: number, end: number, step: number): Answer {
  const times = Float64Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, i) => start + i * step);
  const { result } = (data ?? {}) as { result?: unknown };
  const rows = (Array.isArray(result) ? result : []).map((item): Row => {
    const { metric, values } = (item ?? {}) as { metric?: Record<string, string>; values?: unknown };
    const column = new Float64Array(times.length).fill(Number.NaN);
    for (const pair of Array.isArray(values) ? values : []) {
      const [time, value] = pair as [number, string];
      const at = Math.round((time * 1000 - start) / step);
      if (at >= 0 && at < column.length) column[at] = numberOf(value);
    }
    return { name: nameOf(metric ?? {}), values: column, last: column[column.length - 1] };
  });
  return { times, rows: rows.sort((a, b) => rank(b.last) - rank(a.last) || (a.name < b.name ? -1 : 1)) };
}

/** numberOf reads a value as Prometheus writes it. */
function numberOf(text: string): number {
  return text === "+Inf" ? Number.POSITIVE_INFINITY : text === "-Inf" ? Number.NEGATIVE_INFINITY : Number(text);
}

const rank = (value: number) => (Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value);

/** nameOf writes labels as PromQL does. */
export function nameOf(metric: Record<string, string>): string {
  const { __name__ = "", ...labels } = metric;
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return pairs.length === 0 && __name__ !== "" ? __name__ : `${__name__}{${pairs.join(", ")}}`;
}

/** color is the property with the colour of a line. */
export const color = (index: number) => `--series-${(index % 6) + 1}`;

export function plotOf({ times, rows }: Answer, from: number, to: number, step: number): PlotData {
  const lines = rows.slice(0, drawLimit).map(({ name, values }, i) => ({ name, values, color: color(i) }));
  return { times, lines, from, to, gapAfter: 1.5 * step };
}

/** stepOf is a step that gives a chart about so many points, as a person would choose it; whole seconds, ms. */
export function stepOf(range: number, points: number): number {
  const seconds = range / 1000 / points;
  const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  return 1000 * (nice.find((one) => one >= seconds) ?? Math.ceil(seconds / 86_400) * 86_400);
}
