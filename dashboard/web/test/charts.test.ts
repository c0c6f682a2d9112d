import { expect, test } from "vitest";
import type { PlotData } from "../src/charts/plot";
import { rangeOf, shifted, silence } from "../src/charts/range";
import { csvOf } from "../src/charts/save";

const data = (lines: PlotData["lines"], more: Partial<PlotData> = {}): PlotData => ({
  times: [1_000, 2_000, 3_000, 4_000],
  lines,
  from: 2_000,
  to: 3_500,
  gapAfter: 1_000,
  ...more,
});
const line = (name: string, values: number[]) => ({ name, values, color: "--series-1" });

test("a table has the points in the range, exactly, and nothing where nothing was measured", () => {
  const rows = csvOf("°C", data([line("in", [1, 0.1 + 0.2, Number.NaN, 4]), line("out", [5, 6, -7e-9, 8])])).split(
    "\r\n",
  );
  expect(rows).toEqual([
    'time,"in (°C)","out (°C)"',
    "1970-01-01T00:00:02.000Z,0.30000000000000004,6",
    "1970-01-01T00:00:03.000Z,,-7e-9",
    "",
  ]);
});

test("points that stand for many have their least and greatest", () => {
  const summed = { ...line("t", [1, 2, 3, 4]), min: [0, 1, 2, 3], max: [2, 3, 4, 5] };
  expect(csvOf("", data([summed])).split("\r\n")[0]).toBe('time,"t","t min","t max"');
  expect(csvOf("", data([summed])).split("\r\n")[1]).toBe("1970-01-01T00:00:02.000Z,2,1,3");
});

test.each([
  ['=HYPERLINK("http://x")', `"'=HYPERLINK(""http://x"")"`],
  ["+1", `"'+1"`],
  ["@SUM(A1)", `"'@SUM(A1)"`],
  ["\t=1", `"'\t=1"`],
  ["-2", `"'-2"`],
  ["a,b\n", '"a,b\n"'],
])("a spreadsheet takes the name %j for a name", (name, cell) => {
  expect(csvOf("", data([line(name, [])], { times: [] }))).toBe(`time,${cell}\r\n`);
});

test("a window reaches up to now, and not back to before there was anything", () => {
  const now = () => 1_000_000;
  expect(rangeOf({ name: "live" }, now, 300_000)).toEqual({ from: 700_000, to: 1_000_000, held: false });
  expect(rangeOf({ name: "live" }, now, 300_000, 900_000)).toEqual({ from: 900_000, to: 1_000_000, held: false });
  expect(rangeOf({ name: "live" }, now, 300_000, 990_000).from).toBe(940_000);
  expect(rangeOf({ name: "exploring", from: 5, to: 9, events: 0 }, now, 300_000)).toEqual({
    from: 5,
    to: 9,
    held: true,
  });
});

test("a range moves by its half, and to now where that is close", () => {
  expect(shifted({ from: 100, to: 200, held: true }, -1, 1_000)).toEqual({ from: 50, to: 150 });
  expect(shifted({ from: 800, to: 900, held: true }, 1, 1_000)).toEqual({ from: 850, to: 950 });
  expect(shifted({ from: 850, to: 950, held: true }, 1, 1_000)).toBeUndefined();
});

test("silence is what is longer than usual", () => {
  const minutes = Float64Array.from({ length: 10 }, (_, i) => i * 60_000);
  expect(silence(minutes, 9 * 60_000 + 100_000)).toBeNaN();
  expect(silence(minutes, 9 * 60_000 + 200_000)).toBe(200_000);
});
