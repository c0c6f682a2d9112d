import { describe, expect, it } from "vitest";
import { scrollFor, visibleWindow } from "../src/core/virtual";

describe("visibleWindow", () => {
  it("draws the rows in sight and the overscan, whatever the length of the list", () => {
    expect(visibleWindow(0, 320, 32, 10_000, 4)).toEqual({ first: 0, last: 14, offset: 0, total: 320_000 });
    expect(visibleWindow(3210, 320, 32, 10_000, 4)).toEqual({ first: 96, last: 115, offset: 96 * 32, total: 320_000 });
  });

  it("stays within the list at its end, and when it has become shorter than the scroll position", () => {
    expect(visibleWindow(1e9, 320, 32, 100, 4)).toMatchObject({ first: 86, last: 100 });
    expect(visibleWindow(5000, 320, 32, 3, 4)).toMatchObject({ first: 0, last: 3 });
    expect(visibleWindow(100, 320, 32, 0, 4)).toEqual({ first: 0, last: 0, offset: 0, total: 0 });
  });

  it("never draws sixty rows on a screen of 1,080 pixels", () => {
    for (let top = 0; top < 320_000; top += 997) {
      const { first, last } = visibleWindow(top, 1080, 32, 10_000, 6);
      expect(last - first).toBeLessThan(60);
    }
  });
});

describe("scrollFor", () => {
  it("moves only as far as is needed", () => {
    expect(scrollFor(5, 0, 320, 32)).toBe(0);
    expect(scrollFor(10, 0, 320, 32)).toBe(32);
    expect(scrollFor(2, 320, 320, 32)).toBe(64);
  });
});
