/** unknown is what stands where a figure is not known. It is never 0. */
export const unknown = "–";

let locale = "en";
const formats = new Map<string, Intl.NumberFormat>();
const clocks = new Map<string, Intl.DateTimeFormat>();

/** formatFor chooses how numbers and times are written: a BCP 47 tag. */
export function formatFor(tag: string): void {
  locale = tag;
  formats.clear();
  clocks.clear();
}

function decimal(digits: number): Intl.NumberFormat {
  return format(`d${digits}`, { maximumFractionDigits: digits });
}

function format(key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  let made = formats.get(key);
  if (made === undefined) {
    made = new Intl.NumberFormat(locale, options);
    formats.set(key, made);
  }
  return made;
}

/** formatValue shows a measured value with as many digits as are worth reading. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return unknown;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e15 || size < 1e-3)) return scientific(3)(value);
  if (Number.isInteger(value)) return decimal(0).format(value);
  return decimal(size >= 1000 ? 1 : size >= 100 ? 2 : size >= 1 ? 3 : 4).format(value);
}

function scientific(digits: number): (value: number) => string {
  const { format: plain } = format(`e${digits}`, { notation: "scientific", maximumFractionDigits: digits });
  return (value) => (value === 0 ? "0" : plain(value));
}

/** formatTicks shows the values beside an axis with the digits that tell them apart. */
export function formatTicks(ticks: readonly number[]): string[] {
  if (ticks.length < 2) return ticks.map(formatValue);
  const step = Math.abs(ticks[1] - ticks[0]);
  const largest = Math.max(...ticks.map(Math.abs));
  if (!(step > 0)) return ticks.map(formatValue);
  /** digitsIn is how many there have to be behind the point of values in this unit. */
  const digitsIn = (unit: number) =>
    Math.min(15, Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9) + (isRound(step) ? 0 : 1)));
  if (largest >= 1e15 || largest < 1e-3)
    return ticks.map(scientific(digitsIn(10 ** Math.floor(Math.log10(largest) + 1e-9))));
  const short = digitsIn(1000 ** Math.floor(Math.log10(largest) / 3 + 1e-9));
  if (largest >= 100_000 && short <= 3)
    return ticks.map(format(`tick${short}`, { notation: "compact", maximumFractionDigits: short }).format);
  return ticks.map(decimal(digitsIn(1)).format);
}

/** isRound reports that a step has one digit, as 0.2 has and 0.25 has not. */
function isRound(step: number): boolean {
  const leading = step / 10 ** Math.floor(Math.log10(step) + 1e-9);
  return Math.abs(leading - Math.round(leading)) < 1e-6;
}

/** formatCount shows a count: whole up to a hundred thousand, then shortened. */
export function formatCount(count: number): string {
  if (!Number.isFinite(count)) return unknown;
  if (count < 100_000) return decimal(0).format(Math.round(count));
  return format("compact", { notation: "compact", maximumFractionDigits: 1 }).format(count);
}

/** formatRate shows something a second. */
export function formatRate(rate: number): string {
  if (!Number.isFinite(rate)) return unknown;
  if (rate >= 10_000) return format("compact", { notation: "compact", maximumFractionDigits: 1 }).format(rate);
  return decimal(rate >= 100 || rate === 0 ? 0 : rate >= 10 ? 1 : 2).format(rate);
}

/** formatMillis shows a duration of a few milliseconds. */
export function formatMillis(millis: number): string {
  if (!Number.isFinite(millis)) return unknown;
  return decimal(millis >= 100 ? 0 : millis >= 10 ? 1 : 2).format(millis);
}

const byteUnits = ["B", "kB", "MB", "GB", "TB"];

export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return unknown;
  let unit = 0;
  while (bytes >= 1000 && unit < byteUnits.length - 1) {
    bytes /= 1000;
    unit++;
  }
  return `${decimal(unit === 0 || bytes >= 100 ? 0 : 1).format(bytes)} ${byteUnits[unit]}`;
}

/** formatAge shows how long ago something was, in its one largest unit. Milliseconds. */
export function formatAge(age: number): string {
  if (!Number.isFinite(age)) return unknown;
  const seconds = Math.max(0, age) / 1000;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** formatInterval shows the usual time between two messages. Milliseconds; 0 is unknown. */
export function formatInterval(interval: number): string {
  if (!(interval > 0)) return unknown;
  if (interval < 1000) return `${decimal(0).format(interval)} ms`;
  if (interval < 60_000) return `${decimal(1).format(interval / 1000)} s`;
  return formatAge(interval);
}

const shapes = {
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  day: { month: "short", day: "numeric" },
  dayClock: { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" },
} as const;

function inTime(shape: keyof typeof shapes, time: number): string {
  let made = clocks.get(shape);
  if (made === undefined) {
    made = new Intl.DateTimeFormat(locale, shapes[shape]);
    clocks.set(shape, made);
  }
  return made.format(time);
}

/** formatClock shows a time of day, local, to the second. */
export function formatClock(time: number): string {
  return Number.isFinite(time) ? inTime("clock", time) : unknown;
}

/** formatMinute shows a time of day, local, to the minute. */
export function formatMinute(time: number): string {
  return Number.isFinite(time) ? inTime("minute", time) : unknown;
}

/** formatDay shows the day of a time, local. */
export function formatDay(time: number): string {
  return Number.isFinite(time) ? inTime("day", time) : unknown;
}

/** formatClockMillis shows a time of day, local, to the millisecond. */
export function formatClockMillis(time: number): string {
  if (!Number.isFinite(time)) return unknown;
  return `${inTime("clock", time)}.${String(Math.floor(time) % 1000).padStart(3, "0")}`;
}

export function formatDateTime(time: number): string {
  return Number.isFinite(time) ? inTime("dayClock", time) : unknown;
}

/** formatMoment shows a time of day, local, and the day where that is not now's. */
export function formatMoment(time: number, now: number): string {
  return new Date(time).toDateString() === new Date(now).toDateString() ? formatClock(time) : formatDateTime(time);
}

/** fieldTime is a time as a field for one has it: of this browser's zone, without naming it. */
export function fieldTime(time: number): string {
  return new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** formatUTC shows a time as it is on the wire, for tooltips. */
export function formatUTC(time: number): string {
  return Number.isFinite(time) && Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : unknown;
}
