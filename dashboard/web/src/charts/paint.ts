import { formatTicks } from "../core/format";
import type { Line, PlotData } from "./plot";
import { axisWidth, paddedRange, timeLabels, timeTicks, valueTicks } from "./scale";
import { type Column, dots, type Stretch, stretches } from "./stretches";

/** Look is how a plot is to be painted, CSS pixels. */
export interface Look {
  width: number;
  height: number;
  /** headroom leaves a line above the axis, for its unit. */
  headroom: boolean;
  /** color is the value of a custom property in the present theme. */
  color(property: string): string;
}

/** Painted is where the lines of a plot have been painted, CSS pixels. */
export interface Painted {
  left: number;
  top: number;
  width: number;
  height: number;
  x(time: number): number;
  y(line: Line, value: number): number;
}

/** Least distances between two ticks of an axis, and between points that are drawn as dots, CSS pixels. */
const valueSpace = 28;
const timeSpace = 80;
const dotSpace = 10;
/** What the axis of time takes, what is left free beside the lines, and what stands between an axis and its labels. */
const axisHeight = 26;
const margin = 28;
const gap = 5;

/** What is on or off, with some room below and above. */
const switchRange = [-0.1, 1.1];

interface Axis {
  min: number;
  max: number;
  ticks: number[];
  labels: string[];
}

/** paint draws lines with their axes, and says where. */
export function paint(context: CanvasRenderingContext2D, data: PlotData, look: Look): Painted {
  const { times, lines, from, to } = data;
  const { color } = look;
  const top = look.headroom ? 20 : 8;
  const bottom = look.height - axisHeight;
  const height = bottom - top;
  const axes = [false, true].map((side) =>
    axisOf(
      data,
      lines.filter(({ right = false }) => right === side),
      height,
    ),
  );
  const left = axisWidth(axes[0].labels);
  const hasRight = lines.some((line) => line.right);
  const width = Math.max(1, look.width - left - (hasRight ? axisWidth(axes[1].labels) : margin));
  const right = left + width;
  const x = (time: number) => left + ((time - from) / (to - from)) * width;
  const yOn = ({ min, max }: Axis, value: number) => bottom - ((value - min) / (max - min)) * height;
  const y = (line: Line, value: number) => yOn(axes[line.right ? 1 : 0], value);

  context.lineWidth = 1;
  context.strokeStyle = color("--line");
  context.fillStyle = color("--muted");
  context.font = "11px system-ui, sans-serif";
  context.beginPath();
  const write = (label: string, align: CanvasTextAlign, at: number, height: number) => {
    context.textAlign = align;
    context.textBaseline = align === "center" ? "top" : "middle";
    context.fillText(label, at, height);
  };
  for (const [i, tick] of axes[0].ticks.entries()) {
    const at = Math.round(yOn(axes[0], tick)) + 0.5;
    context.moveTo(left, at);
    context.lineTo(right, at);
    write(axes[0].labels[i], "right", left - gap, at);
  }
  if (hasRight)
    for (const [i, tick] of axes[1].ticks.entries()) write(axes[1].labels[i], "left", right + gap, yOn(axes[1], tick));
  const ticks = timeTicks(from, to, Math.floor(width / timeSpace));
  for (const [i, label] of timeLabels(ticks).entries()) {
    const at = Math.round(x(ticks[i])) + 0.5;
    context.moveTo(at, top);
    context.lineTo(at, bottom);
    write(label, "center", at, bottom + gap);
  }
  context.stroke();

  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.lineJoin = "round";
  for (const line of lines) {
    const joined = stretches(times, line.values, line.gapAfter ?? data.gapAfter);
    const way = (values: Column, stretch: Stretch) =>
      trace(times, values, stretch, x, (value) => y(line, value), line.steps ?? false);
    context.strokeStyle = context.fillStyle = color(line.color);
    context.setLineDash(line.right ? [6, 3] : []);
    if (line.min !== undefined && line.max !== undefined) {
      const edges = new Path2D();
      const band = new Path2D();
      for (const stretch of joined) {
        const [upper, lower] = [way(line.max, stretch), way(line.min, stretch)];
        draw(edges, upper);
        draw(edges, lower);
        draw(band, [...upper, ...lower.reverse()]);
      }
      context.globalAlpha = 0.2;
      context.fill(band);
      context.globalAlpha = 0.4;
      context.lineWidth = 1;
      context.stroke(edges);
      context.globalAlpha = 1;
    }
    const path = new Path2D();
    for (const stretch of joined) draw(path, way(line.values, stretch));
    context.lineWidth = 1.5;
    context.stroke(path);
    const discs = new Path2D();
    for (const i of dots(joined, width / dotSpace)) {
      const value = line.values[i];
      if (value === undefined) continue;
      const [atX, atY] = [x(times[i]), y(line, value)];
      discs.moveTo(atX, atY);
      discs.arc(atX, atY, 2, 0, 2 * Math.PI);
    }
    context.fill(discs);
  }
  context.restore();
  return { left, top, width, height, x, y };
}

/** axisOf is the axis of some lines: of what is seen of them. */
function axisOf({ times, from, to, fromZero = false }: PlotData, lines: Line[], height: number): Axis {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const see = (value: number) => {
    if (!Number.isFinite(value)) return;
    if (value < min) min = value;
    if (value > max) max = value;
  };
  for (const { values, min: mins = values, max: maxs = values } of lines)
    for (let i = 0; i < times.length; i++) {
      if (times[i] >= from && times[i] <= to) {
        see(mins[i]);
        see(maxs[i]);
      }
      // A line that leaves, or only crosses, is seen up to the edge.
      for (const edge of [from, to])
        if (times[i] < edge && edge < times[i + 1])
          see(values[i] + ((values[i + 1] - values[i]) * (edge - times[i])) / (times[i + 1] - times[i]));
    }
  const switches = lines.length > 0 && lines.every((line) => line.steps);
  [min, max] = switches ? switchRange : paddedRange(min, max, fromZero);
  const ticks = switches ? [0, 1] : valueTicks(min, max, Math.floor(height / valueSpace));
  return { min, max, ticks, labels: formatTicks(ticks) };
}

type Way = [x: number, y: number][];

/**
 * trace is the way through a stretch of points. Of those in one column of pixels the first, the least, the greatest and the
 * last are enough: no spike is lost, however many there are.
 */
function trace(
  times: ArrayLike<number>,
  values: Column,
  [first, last]: Stretch,
  x: (time: number) => number,
  y: (value: number) => number,
  steps: boolean,
): Way {
  const way: Way = [];
  let [column, low, high, newest] = [Number.NaN, 0, 0, 0];
  const leave = () => {
    if (low !== high) for (const to of [low, high, newest]) way.push([way[way.length - 1][0], to]);
  };
  for (let i = first; i <= last; i++) {
    const value = values[i];
    if (value === undefined) continue;
    const [atX, atY] = [x(times[i]), y(value)];
    if (Math.floor(atX) === column) {
      if (atY < low) low = atY;
      if (atY > high) high = atY;
    } else {
      leave();
      if (steps && way.length > 0) way.push([atX, newest]);
      way.push([atX, atY]);
      column = Math.floor(atX);
      low = high = atY;
    }
    newest = atY;
  }
  leave();
  return way;
}

function draw(path: Path2D, way: Way): void {
  for (const [i, [x, y]] of way.entries()) {
    if (i === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  }
}
