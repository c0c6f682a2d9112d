import { lowerBound } from "../core/rings";
import { type Look, type Painted, paint } from "./paint";

/** Line is one series to draw, times in ms ascending. Where min and max are given, the band between them is drawn too. */
export interface Line {
  name: string;
  /** color is the name of a custom property, e.g. "--series-1". */
  color: string;
  /** values are NaN where nothing was measured, and have holes at the times of other lines. */
  values: ArrayLike<number>;
  min?: ArrayLike<number>;
  max?: ArrayLike<number>;
  /** steps: it holds its value until the next point. */
  steps?: boolean;
  /** gapAfter and unit are those of the line where they are not those of all. */
  gapAfter?: number;
  unit?: string;
  /** right: its axis is the one at the right, and it is drawn in dashes. */
  right?: boolean;
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

export interface PlotConfig extends Omit<Look, "width"> {
  /** sync names the charts that share a cursor. */
  sync: string;
  /** selected is called with a range that was dragged, ms. */
  selected(from: number, to: number): void;
  /** pointed is called with the index of the point under the pointer, or -1. */
  pointed(index: number): void;
}

/** groups are the plots that share a cursor. */
const groups = new Map<string, Set<Plot>>();

/** What is dragged less than this is a click, or a finger's unrest; CSS pixels. */
const dragged = { mouse: 4, touch: 16 };

/** Plot is lines on a canvas, with a cursor that moves in all plots of its group and a range to be dragged, with the mouse or a finger. */
export class Plot {
  readonly #config: PlotConfig;
  readonly #peers: Set<Plot>;
  readonly #canvas = document.createElement("canvas");
  readonly #over = made("plot-over");
  readonly #cursor = made("plot-cursor");
  readonly #range = made("plot-range");
  #dots: HTMLElement[] = [];
  #width = 0;
  #data: PlotData | undefined;
  #painted: Painted | undefined;
  #place = "";
  /** time is that of the cursor, or NaN; left is where the pointer stands in what is over the lines, CSS pixels, NaN if it is not here. */
  #time = Number.NaN;
  #left = Number.NaN;
  /** from is the time at which dragging began, and pointer what drags. */
  #from = Number.NaN;
  #pointer = -1;
  #index = -1;

  constructor(element: HTMLElement, config: PlotConfig) {
    this.#config = config;
    this.#peers = groups.get(config.sync) ?? new Set();
    groups.set(config.sync, this.#peers.add(this));
    this.#over.append(this.#cursor, this.#range);
    element.append(this.#canvas, this.#over);
    const over = this.#over;
    over.onpointerdown = ({ button, offsetX, pointerId }) => {
      if (button !== 0) return;
      const first = Number.isNaN(this.#from);
      if (first) {
        over.setPointerCapture(pointerId);
        this.#pointer = pointerId;
        this.#hover(offsetX);
        this.#from = this.#time;
      } else this.#drop(Number.POSITIVE_INFINITY); // Two fingers do something else.
    };
    over.onpointermove = ({ offsetX, pointerId }) => {
      if (Number.isNaN(this.#from) || pointerId === this.#pointer) this.#hover(offsetX);
    };
    over.onpointerup = ({ pointerType }) => this.#drop(pointerType === "touch" ? dragged.touch : dragged.mouse);
    over.onpointercancel = () => this.#drop(Number.POSITIVE_INFINITY);
    over.onpointerleave = ({ pointerType }) => {
      if (pointerType === "mouse") this.#hover(Number.NaN);
    };
  }

  draw(data: PlotData): void {
    this.#data = data;
    this.#paint();
  }

  /** resize takes the width that there is, CSS pixels. */
  resize(width: number): void {
    this.#width = width;
    this.#paint();
  }

  /** point puts the cursor on a point, and that of the charts beside it on the same time; -1 takes it away. */
  point(index: number): void {
    this.#left = Number.NaN;
    this.#move(this.#data?.times[index] ?? Number.NaN);
  }

  destroy(): void {
    this.#peers.delete(this);
    if (this.#peers.size === 0) groups.delete(this.#config.sync);
    this.#canvas.remove();
    this.#over.remove();
  }

  #paint(): void {
    const context = this.#canvas.getContext("2d");
    if (this.#data === undefined || this.#width === 0 || context === null) return;
    const [width, { height }, scale] = [this.#width, this.#config, devicePixelRatio];
    const pixels = [width, height].map((length) => Math.round(length * scale));
    if (this.#canvas.width !== pixels[0] || this.#canvas.height !== pixels[1])
      [this.#canvas.width, this.#canvas.height] = pixels;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const painted = paint(context, this.#data, { ...this.#config, width });
    this.#painted = painted;
    const place = [painted.left, painted.top, painted.width, painted.height].map((length) => `${length}px`);
    if (place.join() !== this.#place) {
      this.#place = place.join();
      const [left, top, width, height] = place;
      Object.assign(this.#over.style, { left, top, width, height });
    }
    // Under a pointer that rests, time goes by.
    if (Number.isNaN(this.#left)) this.#show();
    else this.#hover(this.#left);
  }

  /** hover has the cursor follow the pointer to a place; NaN: it has gone. */
  #hover(to: number): void {
    if (this.#painted === undefined || this.#data === undefined) return;
    const { width } = this.#painted;
    const { from, to: end } = this.#data;
    this.#left = Math.max(0, Math.min(width, to));
    this.#move(from + (this.#left / width) * (end - from));
  }

  /** move puts the cursor to a time, here and in the charts beside it; NaN takes it away. */
  #move(time: number): void {
    for (const peer of this.#peers) {
      if (peer !== this) peer.#left = Number.NaN;
      peer.#time = time;
      peer.#show();
    }
  }

  /** drop ends dragging; a range that is long enough is what was meant. */
  #drop(least: number): void {
    const [from, to] = [this.#from, this.#time].sort((a, b) => a - b);
    this.#from = Number.NaN;
    this.#show();
    const { x = Number } = this.#painted ?? {};
    if (x(to) - x(from) >= least) this.#config.selected(from, to);
  }

  /** show puts the cursor, its points and the dragged range where they belong, and tells which point it is at. */
  #show(): void {
    if (this.#data === undefined || this.#painted === undefined) return;
    const { times, lines } = this.#data;
    const { left, top, width, x, y } = this.#painted;
    const at = x(this.#time) - left;
    const here = at >= -1 && at <= width + 1;
    const index = here ? nearest(times, this.#time) : -1;
    this.#cursor.hidden = !here;
    this.#cursor.style.transform = `translateX(${at}px)`;
    const [from, to] = [x(this.#from) - left, at].sort((a, b) => a - b);
    this.#range.hidden = !(to > from);
    Object.assign(this.#range.style, { left: `${from}px`, width: `${to - from}px` });
    for (const dot of this.#dots.splice(lines.length)) dot.remove();
    for (const [i, line] of lines.entries()) {
      const value = line.values[index];
      let dot = this.#dots[i];
      if (dot === undefined && index < 0) continue;
      if (dot === undefined) {
        dot = this.#dots[i] = made("plot-dot");
        this.#over.append(dot);
      }
      dot.hidden = !Number.isFinite(value);
      if (dot.hidden) continue;
      dot.style.background = this.#config.color(line.color);
      dot.style.transform = `translate(${x(times[index]) - left}px, ${y(line, value) - top}px)`;
    }
    if (index !== this.#index) {
      this.#index = index;
      this.#config.pointed(index);
    }
  }
}

function made(name: string): HTMLElement {
  const element = document.createElement("div");
  element.className = name;
  element.hidden = name !== "plot-over";
  return element;
}

/** nearest is the index of the time that is nearest to another; -1 where there is none. */
function nearest(times: ArrayLike<number>, time: number): number {
  const after = lowerBound(times, time);
  if (after === times.length) return after - 1;
  return after > 0 && time - times[after - 1] < times[after] - time ? after - 1 : after;
}
