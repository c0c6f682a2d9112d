import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { journeyOf, paramsOf, pastPath } from "../src/app/past";
import { HubClock } from "../src/core/clock";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

test("a journey is read out of the URL, and what is none is the present", () => {
  expect(journeyOf("?at=1763830000000&speed=10")).toEqual({ asked: 1_763_830_000_000, speed: 10 });
  expect(journeyOf("?at=5")).toEqual({ asked: 5, speed: 1 });
  expect(journeyOf("?at=5&speed=0")).toEqual({ asked: 5, speed: 0 });
  for (const speed of ["61", "-1", "fast", "NaN", "Infinity"]) {
    expect(journeyOf(`?at=5&speed=${speed}`)).toEqual({ asked: 5, speed: 1 });
  }
  for (const search of ["", "?speed=5", "?at=", "?at=0", "?at=-4", "?at=1.5", "?at=x", "?at=1e999"]) {
    expect(journeyOf(search)).toBeUndefined();
  }
});

test("a range is read out of the URL, and the moment lies in it", () => {
  const range = { from: 1_000, to: 9_000 };
  expect(journeyOf("?replay=1000-9000&speed=5")).toEqual({ asked: 1_000, speed: 5, range });
  expect(journeyOf("?at=4000&replay=1000-9000")).toEqual({ asked: 4_000, speed: 1, range });
  expect(journeyOf("?at=10&replay=1000-9000")).toEqual({ asked: 1_000, speed: 1, range });
  expect(journeyOf("?at=10000&replay=1000-9000")).toEqual({ asked: 9_000, speed: 1, range });
  for (const bad of ["9-9", "9-8", "-5", "5-", "0-5", "1.5-7", "1-2-3", `1-${"9".repeat(30)}`]) {
    expect(journeyOf(`?at=7&replay=${bad}`)).toEqual({ asked: 7, speed: 1 });
    expect(journeyOf(`?replay=${bad}`)).toBeUndefined();
  }
});

test("what a journey puts into the URL is read as the same", () => {
  for (const search of ["?at=4000&replay=1000-9000&speed=5", "?at=5&speed=0"]) {
    const journey = journeyOf(search);
    expect(journeyOf(`?${new URLSearchParams(paramsOf(journey))}`)).toEqual(journey);
  }
  expect(paramsOf()).toEqual({ at: "", replay: "", speed: "" });
});

test("the hub is asked from a whole millisecond on", () => {
  expect(pastPath(1234.9, 60)).toBe("/ws/past?from=1234&speed=60");
  expect(pastPath(1234.9, 60, 5_000)).toBe("/ws/past?from=1234&to=5000&speed=60");
});

test("the clock of a past goes by at its rate, and as the hub tells it", () => {
  const clock = new HubClock();
  clock.run(60, 100_000);
  vi.advanceTimersByTime(1_000);
  expect(clock.now()).toBe(160_000);
  clock.observe(110_000); // it was written a while ago
  expect(clock.now()).toBe(160_000);
  clock.observe(31_000); // the hub is slower than it was asked to be
  expect(clock.now()).toBe(31_000);
  clock.sync(40_000, Date.now() - 100, Date.now());
  expect(clock.now()).toBe(43_000);
  expect(clock.offset).toBe(0);
  clock.run(60, 50_000, 80_000);
  vi.advanceTimersByTime(1_000);
  expect(clock.now()).toBe(80_000);
  clock.run(0, 7);
  vi.advanceTimersByTime(10_000);
  expect(clock.now()).toBe(7);
});
