import { describe, expect, it } from "vitest";
import { diffLines, pretty } from "../src/core/diff";
import * as format from "../src/core/format";
import { parseRoute, pathOf, withParams } from "../src/core/router";
import { deviceAddress, snippets } from "../src/core/snippets";

describe("router", () => {
  it("reads and writes the path of each screen", () => {
    for (const [path, route] of [
      ["/", { name: "overview" }],
      ["/devices", { name: "devices" }],
      ["/devices/a%2Fb%20%23", { name: "device", id: "a/b #" }],
      ["/topics", { name: "topics" }],
      ["/connect", { name: "connect" }],
    ] as const) {
      expect(parseRoute(path)).toEqual(route);
      expect(pathOf(route)).toBe(path);
    }
    expect(parseRoute("/devices/")).toEqual({ name: "devices" });
  });

  it("knows what it does not know", () => {
    for (const path of ["/nothing", "/devices/a/b", "/topics/x", "/devices/%E0%A4%A"]) {
      expect(parseRoute(path), path).toEqual({ name: "unknown" });
    }
  });

  it("changes single parameters", () => {
    expect(withParams("?q=a&chat=open", { q: "", sort: "rate" })).toBe("?chat=open&sort=rate");
    expect(withParams("?q=a", { q: "" })).toBe("");
    expect(withParams("", { path: "a/b?#&" })).toBe("?path=a%2Fb%3F%23%26");
  });
});

describe("format", () => {
  it("never shows an unknown figure as a number", () => {
    for (const show of [
      format.formatValue,
      format.formatCount,
      format.formatRate,
      format.formatMillis,
      format.formatBytes,
      format.formatAge,
      format.formatInterval,
      format.formatClock,
      format.formatClockMillis,
      format.formatDateTime,
      format.formatUTC,
    ]) {
      expect(show(Number.NaN)).toBe("–");
    }
    expect(format.formatValue(Number.POSITIVE_INFINITY)).toBe("–");
    expect(format.formatInterval(0)).toBe("–");
    expect(format.formatUTC(9e15)).toBe("–");
  });

  it("shows values with the digits that are worth reading", () => {
    expect([0, 21.5, 230.456, 1010.26, 52.503737, 0.01234, -3].map(format.formatValue)).toEqual([
      "0",
      "21.5",
      "230.46",
      "1,010.3",
      "52.504",
      "0.0123",
      "-3",
    ]);
    expect(format.formatValue(6.02e23)).toBe("6.02E23");
    expect(format.formatValue(0.00001)).toBe("1E-5");
  });

  it("tells the ticks of an axis apart", () => {
    expect(format.formatTicks([52.505, 52.5055, 52.506])).toEqual(
      ["52.505", "52.506", "52.506"].map(() => expect.any(String)),
    );
    for (const ticks of [
      [52.505, 52.5055, 52.506],
      [0, 0.25, 0.5],
      [1009.5, 1009.75, 1010],
      [0, 20, 40],
      [1_000_000, 1_200_000, 1_400_000],
    ]) {
      expect(new Set(format.formatTicks(ticks)).size, String(ticks)).toBe(ticks.length);
    }
    for (const first of [-3.618e6, 1e9, 1.7e12, 2.09e15, 5e-7]) {
      for (const step of [first * 1e-6, first * 0.2, first * 1e-3].map(Math.abs)) {
        const near = [0, 1, 2, 3].map((n) => first + n * step);
        expect(new Set(format.formatTicks(near)).size, String(near)).toBe(4);
      }
    }
    expect(format.formatTicks([0, 5e8, 1e9])).toEqual(["0", "500M", "1B"]);
    expect(format.formatValue(1_000_000_017)).toBe("1,000,000,017");
    expect(format.formatTicks([0, 20, 40])).toEqual(["0", "20", "40"]);
    expect(format.formatTicks([])).toEqual([]);
  });

  it("shows ages, intervals and sizes in one unit", () => {
    expect([-5, 999, 59_999, 60_000, 7_200_000, 1e9].map(format.formatAge)).toEqual([
      "0 s",
      "0 s",
      "59 s",
      "1 min",
      "2 h",
      "11 d",
    ]);
    expect([250, 1500, 120_000].map(format.formatInterval)).toEqual(["250 ms", "1.5 s", "2 min"]);
    expect([12, 1500, 3.2e9].map(format.formatBytes)).toEqual(["12 B", "1.5 kB", "3.2 GB"]);
    expect([0, 12345, 1_234_567].map(format.formatCount)).toEqual(["0", "12,345", "1.2M"]);
    expect([0, 0.25, 12.34, 995.4, 18_400].map(format.formatRate)).toEqual(["0", "0.25", "12.3", "995", "18.4K"]);
  });
});

describe("pretty and diffLines", () => {
  it("sets JSON in lines and changes nothing else", () => {
    expect(pretty('{"n":12345678901234567890,"s":"a,{b\\"","e":[],"o":{ },"a":[1, 2]}')).toBe(
      '{\n  "n": 12345678901234567890,\n  "s": "a,{b\\"",\n  "e": [],\n  "o": {},\n  "a": [\n    1,\n    2\n  ]\n}',
    );
    expect(pretty("21.5")).toBe("21.5");
  });

  it("survives hostile nesting and text that ends in the middle", () => {
    expect(pretty("[".repeat(20_000)).length).toBeLessThan(2_000_000);
    expect(pretty('{"a":"unfinished')).toContain("unfinished");
    expect(pretty("]]]}")).toContain("}");
  });

  it("marks what is new and what has gone", () => {
    expect(diffLines("a\nb\nc", "a\nx\nc")).toEqual([
      { text: "a", change: "same" },
      { text: "b", change: "removed" },
      { text: "x", change: "added" },
      { text: "c", change: "same" },
    ]);
    expect(diffLines("a\nb", "x\ny").map((line) => line.text)).toEqual(["a", "x", "b", "y"]);
    expect(diffLines("a\nb", "x").map((line) => line.text)).toEqual(["a", "b", "x"]);
    expect(diffLines("", "x\ny").map((line) => line.change)).toEqual(["removed", "added", "added"]);
    expect(diffLines("a", "a").every((line) => line.change === "same")).toBe(true);
    expect(diffLines("a\n".repeat(1000), "b\n".repeat(1000)).every((line) => line.change === "same")).toBe(true);
  });
});

describe("snippets", () => {
  it("name the address where a device reaches the hub", () => {
    expect(deviceAddress("127.0.0.1:1883", "hub.local")).toEqual({ host: "127.0.0.1", port: "1883" });
    expect(deviceAddress("0.0.0.0:1884", "hub.local")).toEqual({ host: "hub.local", port: "1884" });
    expect(deviceAddress("[::]:1883", "hub.local")).toEqual({ host: "hub.local", port: "1883" });
    expect(deviceAddress(":1883", "hub.local")).toEqual({ host: "hub.local", port: "1883" });
    expect(deviceAddress("", "hub.local")).toEqual({ host: "hub.local", port: "1883" });
    for (const snippet of snippets("hub.local", "1884")) {
      expect(snippet.text).toContain("hub.local");
      expect(snippet.text).toContain("1884");
    }
  });
});
