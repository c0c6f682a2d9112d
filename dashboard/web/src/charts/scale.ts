import { formatClock, formatClockMillis, formatDay, formatMinute } from "../core/format";

/** paddedRange leaves a tenth above and below, and gives a flat line the middle. */
export function paddedRange(min: number, max: number, fromZero: boolean): [number, number] {
  if (!Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  if (fromZero) return [Math.min(0, min), max > 0 ? max * 1.1 : 1];
  const pad = (max - min) * 0.1 || Math.abs(max) * 0.05 || 1;
  return [min >= 0 && min - pad < 0 ? 0 : min - pad, max + pad];
}

/** What a person counts in: 1, 2, 5 and 10 times a power of ten. */
const round = [1, 2, 5, 10];

/** valueTicks are round values from min to max, at most so many and one. */
export function valueTicks(min: number, max: number, most: number): number[] {
  const least = (max - min) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * (round.find((times) => times * power >= least * (1 - 1e-9)) ?? 10);
  const first = Math.ceil(min / step - 1e-9);
  const count = Math.floor(max / step + 1e-9) - first + 1;
  return count > 0 ? Array.from({ length: count }, (_, i) => (first + i) * step) : [];
}

const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000];
const timeSteps = [
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30].map((n) => n * second),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * minute),
  ...[1, 2, 3, 6, 12].map((n) => n * hour),
  ...[1, 2, 4, 7, 14, 28, 91, 182, 364].map((n) => n * day),
];

/** timeTicks are round times of this browser's zone between two, ms, at most so many and one; also where a clock is put forward or back. */
export function timeTicks(from: number, to: number, most: number): number[] {
  const least = (to - from) / Math.max(1, most);
  const step = timeSteps.find((step) => step >= least) ?? Math.ceil(least / (364 * day)) * 364 * day;
  /** ahead is what UTC is ahead of the zone, ms. */
  const ahead = (at: number) => new Date(at).getTimezoneOffset() * minute;
  const ticks: number[] = [];
  for (let n = Math.ceil((from - ahead(from)) / step - 1); ; n++) {
    const at = n * step + ahead(n * step + ahead(from));
    if (!(at <= to)) return ticks;
    if (at >= from && at !== ticks[ticks.length - 1]) ticks.push(at);
  }
}

/** timeLabels are the times of ticks as far as they tell something: seconds and less only where one has them, and the day where one begins. */
export function timeLabels(ticks: number[]): string[] {
  const every = (unit: number) => ticks.every((at) => at % unit === 0);
  const time = every(minute) ? formatMinute : every(second) ? formatClock : formatClockMillis;
  return ticks.map((at) => (at === new Date(at).setHours(0, 0, 0, 0) ? formatDay(at) : time(at)));
}

/** axisWidth is the same for most charts, so that they stand below each other in line; long labels get the room that they need. */
export function axisWidth(labels: string[]): number {
  const longest = Math.max(0, ...labels.map((label) => label.length));
  return Math.max(56, Math.ceil(18 + 6.4 * longest));
}
