import { describe, expect, it } from "vitest";
import { SeriesRing } from "../src/core/rings";

function filled(capacity: number, count: number): SeriesRing {
  const ring = new SeriesRing(capacity);
  for (let i = 0; i < count; i++) ring.push(i * 10, i);
  return ring;
}

describe("SeriesRing", () => {
  it("is empty at first, and says so with NaN rather than 0", () => {
    const ring = new SeriesRing(4);
    expect(ring.length).toBe(0);
    expect(ring.newest).toBeNaN();
    expect(ring.newestTime).toBe(Number.NEGATIVE_INFINITY);
    expect([...ring.times()]).toEqual([]);
    expect(ring.valueAt(1e12)).toBeNaN();
  });

  it("keeps the newest points as one contiguous view at every fill and wrap", () => {
    for (let count = 1; count <= 13; count++) {
      const ring = filled(4, count);
      const from = Math.max(0, count - 4);
      const want = Array.from({ length: count - from }, (_, i) => from + i);
      expect([...ring.lasts()]).toEqual(want);
      expect([...ring.times()]).toEqual(want.map((v) => v * 10));
      expect(ring.newest).toBe(count - 1);
    }
  });

  it("copies nothing: two views share their memory", () => {
    const ring = filled(4, 6);
    expect(ring.times().buffer).toBe(ring.times().buffer);
  });

  it("refuses a point older than the newest and takes one of the same time", () => {
    const ring = filled(4, 2);
    expect(ring.push(5, 99)).toBe(false);
    expect(ring.push(10, 1.5)).toBe(true);
    expect([...ring.lasts()]).toEqual([0, 1, 1.5]);
  });

  it("keeps minimum and maximum from the first conflated point on, and earlier points as they were", () => {
    const ring = filled(4, 3);
    expect(ring.conflated).toBe(false);
    expect([...ring.maxs()]).toEqual([0, 1, 2]);
    ring.push(30, 3, -5, 50);
    expect(ring.conflated).toBe(true);
    expect([...ring.mins()]).toEqual([0, 1, 2, -5]);
    expect([...ring.maxs()]).toEqual([0, 1, 2, 50]);
    ring.push(40, 4);
    expect([...ring.mins()]).toEqual([1, 2, -5, 4]);
    expect([...ring.maxs()]).toEqual([1, 2, 50, 4]);
  });

  it("finds points by time", () => {
    const ring = filled(4, 9); // times 50, 60, 70, 80
    expect([0, 50, 51, 80, 81].map((time) => ring.lowerBound(time))).toEqual([0, 0, 1, 3, 4]);
    expect(ring.valueAt(49)).toBeNaN();
    expect(ring.valueAt(50)).toBe(5);
    expect(ring.valueAt(79)).toBe(7);
    expect(ring.valueAt(1e9)).toBe(8);
  });
});
