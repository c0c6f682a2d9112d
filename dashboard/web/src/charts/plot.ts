import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { formatClock, formatDay, formatMinute, formatTicks } from "../core/format";
import { type Column, dots, nulled, type Stretch, stretches } from "./stretches";

/** Line is one series to draw, times in ms ascending. Where min and max are given, the band between them is drawn too. */
export interface Line {
  name: string;
  /** color is the name of a custom property, e.g. "--series-1". */
  color: string;
  /** values are NaN where nothing was measured. */
  values: ArrayLike<number>;
  min?: ArrayLike<number>;
  max?: ArrayLike<number>;
  /** steps: it holds its value until the next point. */
  steps?: boolean;
}

export interface PlotData {
  times: ArrayLike<number>;
  lines: Line[];
  /** from and to are the range shown, ms. */
  from: number;
  to: number;
  /** gapAfter: points further apart than this are not joined, ms. */
  gapAfter: number;
  /** fromZero: the axis begins at 0, for what is a rate or a duration. */
  fromZero?: boolean;
}

export interface PlotConfig {
  height: number;
  /** headroom leaves a line above the axis, for its unit. */
  headroom: boolean;
  /** sync names the charts that share a cursor. */
  sync: string;
  /** color is the value of a custom property in the present theme. */
  color(property: string): string;
  /** selected is called with a range that was dragged, ms. */
  selected(from: number, to: number): void;
  /** pointed is called with the index of the point under the pointer, or -1. */
  pointed(index: number): void;
}

/** Width in CSS pixels that each point has at least where points are drawn as dots. */
const dotSpace = 10;

/** What is on or off, with some room below and above. */
const switchRange: [number, number] = [-0.1, 1.1];

/** Plot is the only place that knows uPlot. */
export class Plot {
  readonly #element: HTMLElement;
  readonly #config: PlotConfig;
  #plot: uPlot | undefined;
  #shape = "";
  #gapAfter = Number.POSITIVE_INFINITY;
  #range: [number, number] = [0, 1];
  #fromZero = false;

  constructor(element: HTMLElement, config: PlotConfig) {
    this.#element = element;
    this.#config = config;
  }

  draw(data: PlotData): void {
    this.#gapAfter = data.gapAfter;
    this.#range = [data.from, data.to];
    this.#fromZero = data.fromZero ?? false;
    const columns: Column[] = [data.times];
    for (const { values, min, max } of data.lines) {
      columns.push(nulled(values));
      if (min !== undefined && max !== undefined) columns.push(nulled(max), nulled(min));
    }
    const shape = data.lines
      .map(({ name, color, min, steps }) => [name, color, min !== undefined, steps].join())
      .join("\n");
    if (shape !== this.#shape || this.#plot === undefined) {
      this.destroy();
      this.#shape = shape;
      this.#plot = new uPlot(this.#options(data.lines), columns as unknown as uPlot.AlignedData, this.#element);
    } else this.#plot.setData(columns as unknown as uPlot.AlignedData);
  }

  resize(): void {
    this.#plot?.setSize({ width: this.#element.clientWidth, height: this.#config.height });
  }

  destroy(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
    this.#shape = "";
  }

  #options(lines: Line[]): uPlot.Options {
    const { color } = this.#config;
    const axis = {
      stroke: color("--muted"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
    };
    const switches = lines.every((line) => line.steps);
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    for (const line of lines) {
      const stroke = color(line.color);
      const points = { show: false, filter: this.#dots, size: 4, fill: stroke };
      const paths = line.steps ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
      series.push({ label: line.name, stroke, width: 1.5, gaps: this.#gaps, points, paths });
      if (line.min === undefined) continue;
      const edge = { stroke: `${stroke}66`, width: 1, gaps: this.#gaps, points: { show: false }, paths };
      series.push({ ...edge, label: "max" }, { ...edge, label: "min" });
      bands.push({ series: [series.length - 2, series.length - 1], fill: `${stroke}33` });
    }
    return {
      width: this.#element.clientWidth,
      height: this.#config.height,
      ms: 1,
      padding: [this.#config.headroom ? 20 : 8, 28, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: this.#config.sync, scales: ["x", null] },
        drag: { x: true, y: false, setScale: false },
        y: false,
        points: { size: 6 },
      },
      scales: {
        x: { time: true, range: () => this.#range },
        y: { range: (_, min, max) => (switches ? switchRange : paddedRange(min, max, this.#fromZero)) },
      },
      axes: [
        { ...axis, size: 26, values: (_, splits) => timeLabels(splits), space: 80 },
        {
          ...axis,
          size: (_, labels) => axisWidth(labels),
          values: (_, splits) => formatTicks(splits),
          space: 28,
          ...(switches && { splits: [0, 1] }),
        },
      ],
      series,
      bands,
      hooks: { setSelect: [(plot) => this.#select(plot)], setCursor: [(plot) => this.#point(plot)] },
    };
  }

  #stretches(plot: uPlot, series: number): Stretch[] {
    return stretches(plot.data[0], plot.data[series] as Column, this.#gapAfter);
  }

  /** gaps breaks the line where nothing was measured, and where points are further apart than the device's own interval allows. */
  readonly #gaps: uPlot.Series.GapsRefiner = (plot, series) => {
    const at = (index: number) => Math.round(plot.valToPos(plot.data[0][index], "x", true));
    const joined = this.#stretches(plot, series);
    return joined.slice(1).map(([first], i) => [at(joined[i][1]), at(first)]);
  };

  /** dots shows the points themselves where there are few, or where no line leads to them. */
  readonly #dots: uPlot.Series.Points.Filter = (plot, series) =>
    dots(this.#stretches(plot, series), plot.over.clientWidth / dotSpace);

  #select(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 4) return;
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.#config.selected(from, to);
  }

  #point(plot: uPlot): void {
    const { idx, left } = plot.cursor;
    this.#config.pointed(idx === undefined || idx === null || left === undefined || left < 0 ? -1 : idx);
  }
}

/** timeLabels are the times of the ticks, with seconds only where they tell something, and the day where one begins. */
function timeLabels(splits: number[]): string[] {
  const whole = splits.map((time) => Math.round(time / 1000) * 1000);
  const time = whole.every((time) => time % 60_000 === 0) ? formatMinute : formatClock;
  return whole.map((at) => (at === new Date(at).setHours(0, 0, 0, 0) ? formatDay(at) : time(at)));
}

/** paddedRange leaves a tenth above and below, and gives a flat line the middle. */
function paddedRange(min: number | null, max: number | null, fromZero: boolean): [number, number] {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  if (fromZero) return [Math.min(0, min), max > 0 ? max * 1.1 : 1];
  const pad = (max - min) * 0.1 || Math.abs(max) * 0.05 || 1;
  return [min >= 0 && min - pad < 0 ? 0 : min - pad, max + pad];
}

/** axisWidth is the same for most charts, so that they stand below each other in line; long labels get the room that they need. */
function axisWidth(labels: string[] | null): number {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(56, Math.ceil(18 + 6.4 * longest));
}
