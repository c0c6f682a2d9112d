import { describe, expect, it } from "vitest";
import { paddedRange, timeLabels, timeTicks, valueTicks } from "../src/charts/scale";

/** about is ticks without the noise of binary fractions. */
const about = (ticks: number[]) => ticks.map((tick) => Number(tick.toPrecision(10)));

describe("the axis of values", () => {
  it("has round ticks, whatever it measures", () => {
    expect(about(valueTicks(0, 1, 4))).toEqual([0, 0.5, 1]);
    expect(about(valueTicks(-3, 3, 4))).toEqual([-2, 0, 2]);
    expect(about(valueTicks(19.87, 20.41, 5))).toEqual([20, 20.2, 20.4]);
    expect(about(valueTicks(0, 1.23e12, 3))).toEqual([0, 5e11, 1e12]);
    expect(about(valueTicks(-4e-7, 4e-7, 4))).toEqual([-4e-7, -2e-7, 0, 2e-7, 4e-7]);
  });

  it("never has more ticks than there is room for, and always one", () => {
    for (let i = 0; i < 2000; i++) {
      const min = (Math.random() - 0.5) * 10 ** (Math.random() * 24 - 12);
      const max = min + Math.abs(min) * 10 ** (Math.random() * 6 - 6) + 10 ** (Math.random() * 24 - 12);
      for (const most of [2, 4, 9]) {
        const ticks = valueTicks(min, max, most);
        expect(ticks.length, `${min} to ${max}`).toBeLessThanOrEqual(most + 1);
        expect(ticks.every((tick) => tick >= min - 1e-6 * (max - min) && tick <= max + 1e-6 * (max - min))).toBe(true);
      }
    }
  });

  it("gives a flat line the middle, and what begins at zero its foot", () => {
    expect(paddedRange(5, 5, false)).toEqual([4.75, 5.25]);
    expect(paddedRange(0, 0, false)).toEqual([0, 1]);
    expect(paddedRange(3, 7, true)).toEqual([0, 7.700000000000001]);
    expect(paddedRange(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, false)).toEqual([0, 1]);
  });
});

describe("the axis of time", () => {
  const at = (...parts: [number, number, number, number?, number?]) => new Date(...parts).getTime();

  it("has ticks that a clock shows, of this zone", () => {
    const ticks = timeTicks(at(2026, 0, 5, 10, 3), at(2026, 0, 5, 14, 50), 6);
    expect(ticks).toEqual([11, 12, 13, 14].map((hour) => at(2026, 0, 5, hour)));
    const days = timeTicks(at(2026, 0, 5, 10), at(2026, 0, 9, 10), 5);
    expect(days).toEqual([6, 7, 8, 9].map((day) => at(2026, 0, day)));
  });

  it("has ticks in order and in the range, of a millisecond and of ten years, over the changes of the clock", () => {
    for (let i = 0; i < 3000; i++) {
      const from = Date.UTC(2015, 0, 1) + Math.random() * 4e11;
      const to = from + 10 ** (Math.random() * 11.5);
      const ticks = timeTicks(from, to, 5);
      expect(ticks.length).toBeLessThanOrEqual(7);
      expect(ticks.every((tick, i) => tick >= from && tick <= to && (i === 0 || tick > ticks[i - 1]))).toBe(true);
    }
  });

  it("says seconds and the day only where they tell something", () => {
    expect(timeLabels([at(2026, 0, 5, 10, 3), at(2026, 0, 5, 10, 4)])).toEqual(["10:03", "10:04"]);
    expect(timeLabels([at(2026, 0, 5, 10, 3), at(2026, 0, 5, 10, 3) + 30_000])).toEqual(["10:03:00", "10:03:30"]);
    expect(timeLabels([at(2026, 0, 5, 10, 3) + 200])).toEqual(["10:03:00.200"]);
    expect(timeLabels([at(2026, 0, 5), at(2026, 0, 5, 6)])).toEqual(["Jan 5", "06:00"]);
  });
});
