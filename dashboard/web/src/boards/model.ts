import type { PlotData } from "../charts/plot";

/** SeriesName names one metric of one device, as it is kept in a board. */
export interface SeriesName {
  device: string;
  topic: string;
  field: string;
}

/** Panel is one chart of a board. */
export interface Panel {
  title: string;
  /** width is the columns that it takes where there are several. */
  width: 1 | 2;
  series: SeriesName[];
}

/** Board is what is kept of a board, and what a file of one holds. */
export interface Board {
  name: string;
  panels: Panel[];
}

/** What the hub takes: panels of a board, series of a panel, letters of a name or title. */
export const maxPanels = 50;
export const maxSeries = 20;
export const maxName = 200;

/** boardOf is the board that a text of JSON holds, and nothing else that it holds; it throws where in it something is not right. */
export function boardOf(text: string): Board & { version: string } {
  const { name, panels, version } = record(parsed(text), "{}");
  return {
    name: words(name, "name", 1),
    version: typeof version === "string" ? version : "",
    panels: list(panels, "panels", maxPanels).map((item, i) => {
      const at = `panels[${i}]`;
      const { title, width, series } = record(item, at);
      return {
        title: words(title, `${at}.title`, 0),
        width: width === 1 || width === 2 ? width : wrong(`${at}.width`),
        series: list(series, `${at}.series`, maxSeries).map((item, j, all) => {
          const within = `${at}.series[${j}]`;
          const { device, topic, field } = record(item, within);
          const one = {
            device: words(device, `${within}.device`, 1, Number.POSITIVE_INFINITY),
            topic: words(topic, `${within}.topic`, 1, Number.POSITIVE_INFINITY),
            field: words(field, `${within}.field`, 1, Number.POSITIVE_INFINITY),
          };
          const first = all.findIndex((other) => isSame(other as SeriesName, one));
          return first < j ? wrong(within) : one;
        }),
      };
    }),
  };
}

/** textOf is a board as JSON, for people to read too. */
export function textOf({ name, panels }: Board): string {
  return JSON.stringify({ name, panels }, undefined, 2);
}

export const isSame = (a: SeriesName, b: SeriesName) =>
  a.device === b.device && a.topic === b.topic && a.field === b.field;

/** moved is a list with one entry at another place, which may be beyond its ends. */
export function moved<T>(entries: readonly T[], from: number, to: number): T[] {
  const rest = entries.filter((_, index) => index !== from);
  rest.splice(Math.min(Math.max(0, to), rest.length), 0, entries[from]);
  return rest;
}

/**
 * withSeries adds a series to the panel of an index, or to a new one where there is none, or where it has two units already and
 * this would be a third. unit is what a series is measured in.
 */
export function withSeries<P extends Panel>(
  panels: readonly P[],
  index: number,
  series: SeriesName,
  unit: (series: SeriesName) => string,
  made: (panel: Panel) => P,
): P[] {
  const panel = panels[index];
  if (panel?.series.some((other) => isSame(other, series))) return [...panels];
  const full = panel === undefined || panel.series.length >= maxSeries;
  if (full || unitsOf([...panel.series, series].map(unit)).length > 2) {
    return [...panels, made({ title: "", width: 1, series: [series] })];
  }
  return panels.map((other) => (other === panel ? { ...panel, series: [...panel.series, series] } : other));
}

/** titleOf is what a panel is called: what somebody wrote, or what it shows; empty where it shows nothing. */
export function titleOf({ title, series }: Panel): string {
  return title || [...new Set(series.map(({ field }) => field))].join(", ");
}

/** unitsOf are the different units of some, in their order: the first has the axis at the left, the second that at the right. */
export function unitsOf(units: readonly string[]): string[] {
  return [...new Set(units)];
}

/** idFor makes an id of a name, short and to be read in a URL, that is not taken. */
export function idFor(name: string, taken: ReadonlySet<string>): string {
  const plain = name.normalize("NFD").replace(/[\u0300-\u036f]/g, "");
  const words = plain.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const id = words.slice(0, 40).replace(/^-|-$/g, "") || "board";
  for (let i = 1; ; i++) {
    const free = i === 1 ? id : `${id}-${i}`;
    if (!taken.has(free)) return free;
  }
}

/** beside is the data of several charts of one line each in one: their times are joined, and a line has holes at those of others. */
export function beside(datas: readonly PlotData[]): PlotData {
  const first = datas[0];
  if (datas.length === 1) return first;
  const at = datas.map(() => 0);
  const times: number[] = [];
  const columns = datas.map(({ lines: [{ values, min, max }] }) =>
    [values, min, max].map((from) => from && { from, to: [] as number[] }),
  );
  const next = (k: number) => datas[k].times[at[k]] ?? Number.POSITIVE_INFINITY;
  for (;;) {
    let time = Number.POSITIVE_INFINITY;
    for (let k = 0; k < datas.length; k++) time = Math.min(time, next(k));
    if (time === Number.POSITIVE_INFINITY) break;
    for (let k = 0; k < datas.length; k++) {
      if (next(k) !== time) continue;
      for (const column of columns[k]) if (column) column.to[times.length] = column.from[at[k]];
      at[k]++;
    }
    times.push(time);
  }
  const lines = datas.map(({ lines: [line], gapAfter }, k) => {
    const [values = [], min, max] = columns[k].map((column) => {
      if (column) column.to.length = times.length;
      return column?.to;
    });
    return { ...line, gapAfter, values, min, max };
  });
  return { ...first, times, lines };
}

function wrong(where: string): never {
  throw new Error(where);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return wrong("JSON");
  }
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong(where);
  return value as Record<string, unknown>;
}

function list(value: unknown, where: string, most: number): unknown[] {
  return Array.isArray(value) && value.length <= most ? value : wrong(where);
}

function words(value: unknown, where: string, least: number, most = maxName): string {
  if (typeof value !== "string" || value.trim().length < least || [...value].length > most) return wrong(where);
  return value;
}
