import { describe, expect, it } from "vitest";
import { beside, boardOf, idFor, moved, type Panel, textOf, titleOf, withSeries } from "../src/boards/model";
import { stretches } from "../src/charts/stretches";

const one = { device: "d", topic: "t", field: "f" };
const panel = (...fields: string[]): Panel => ({
  title: "",
  width: 1,
  series: fields.map((field) => ({ ...one, field })),
});
const board = (panels: unknown) => JSON.stringify({ name: "B", panels });

describe("a board that is read", () => {
  it("is what was written", () => {
    const written = { name: "B <b>", panels: [panel("f"), { ...panel(), width: 2 as const }] };
    expect(boardOf(textOf(written))).toEqual({ ...written, version: "" });
    expect(boardOf(JSON.stringify({ ...written, version: "v", more: 1 })).version).toBe("v");
  });

  it.each([
    ["JSON", "{"],
    ["{}", "[]"],
    ["name", `{"name":" ","panels":[]}`],
    ["name", `{"name":"${"ñ".repeat(201)}","panels":[]}`],
    ["panels", `{"name":"B"}`],
    ["panels", board(Array(51).fill(panel()))],
    ["panels[0]", board([null])],
    ["panels[1].width", board([panel(), { ...panel(), width: 3 }])],
    ["panels[0].title", board([{ ...panel(), title: 7 }])],
    ["panels[0].series", board([{ title: "", width: 1 }])],
    ["panels[0].series", board([panel(...Array.from({ length: 21 }, (_, i) => `f${i}`))])],
    ["panels[0].series[0].topic", board([{ ...panel(), series: [{ device: "d", field: "f" }] }])],
    ["panels[0].series[1]", board([panel("f", "f")])],
  ])("says where it is wrong: %s", (where, text) => {
    expect(() => boardOf(text)).toThrow(where);
    try {
      boardOf(text);
    } catch (e) {
      expect((e as Error).message).toBe(where);
    }
  });
});

describe("panels", () => {
  it("are moved, and no further than the ends", () => {
    expect(moved(["a", "b", "c"], 0, 2)).toEqual(["b", "c", "a"]);
    expect(moved(["a", "b", "c"], 2, 0)).toEqual(["c", "a", "b"]);
    expect(moved(["a", "b", "c"], 1, -4)).toEqual(["b", "a", "c"]);
    expect(moved(["a", "b", "c"], 1, 9)).toEqual(["a", "c", "b"]);
  });

  it("take series of two units, and no third", () => {
    const unit = ({ field }: { field: string }) => field[0];
    const add = (panels: Panel[], at: number, field: string) =>
      withSeries(panels, at, { ...one, field }, unit, (made) => made).map(titleOf);
    expect(add([], -1, "a1")).toEqual(["a1"]);
    expect(add([panel("a1")], 0, "b1")).toEqual(["a1, b1"]);
    expect(add([panel("a1", "b1")], 0, "a2")).toEqual(["a1, b1, a2"]);
    expect(add([panel("a1", "b1")], 0, "c1")).toEqual(["a1, b1", "c1"]);
    expect(add([panel("a1")], 0, "a1")).toEqual(["a1"]);
    const full = panel(...Array.from({ length: 20 }, (_, i) => `a${i}`));
    expect(add([full], 0, "a20")).toHaveLength(2);
  });
});

it("ids are short, can be read, and are not taken", () => {
  expect(idFor("Púmps & Valves!", new Set())).toBe("pumps-valves");
  expect(idFor("Pumps", new Set(["pumps", "pumps-2"]))).toBe("pumps-3");
  expect(idFor("水泵", new Set())).toBe("board");
  expect(idFor(`<img src=x> ${"a".repeat(99)}`, new Set())).toMatch(/^[a-z0-9][a-z0-9-]{0,62}[a-z0-9]$/);
});

it("series beside each other share times, and are not torn apart by each other's", () => {
  const data = (times: number[], values: number[], band = false) => ({
    times,
    lines: [{ name: "", color: "", values, ...(band && { min: values, max: values }) }],
    from: 0,
    to: 9,
    gapAfter: 3,
  });
  const both = beside([data([1, 3, 5, 9], [10, 30, 50, 90]), data([2, 3, 4], [2, Number.NaN, 4], true)]);
  expect(both.times).toEqual([1, 2, 3, 4, 5, 9]);
  const [first, second] = both.lines;
  expect(Array.from(first.values)).toEqual([10, undefined, 30, undefined, 50, 90]);
  expect(Array.from(second.min ?? [])).toEqual([undefined, 2, Number.NaN, 4, undefined, undefined]);
  expect(stretches(both.times, first.values, 3)).toEqual([
    [0, 4],
    [5, 5],
  ]);
  expect(stretches(both.times, second.values, 3)).toEqual([
    [1, 1],
    [3, 3],
  ]);
});
