import { expect, it } from "vitest";
import { answerOf, nameOf, plotOf, stepOf } from "../src/query/result";

it("puts values on the grid that was asked for, and leaves out what is not there", () => {
  const data = {
    result: [
      {
        metric: { __name__: "a", device: 'x"y' },
        values: [
          [10, "1"],
          [12, "3"],
        ],
      },
      { metric: {}, values: [[11, "+Inf"]] },
      { metric: { __name__: "a" }, values: [[99, "7"]] },
    ],
  };
  const { times, rows } = answerOf(data, 10_000, 12_500, 1_000);
  expect([...times]).toEqual([10_000, 11_000, 12_000]);
  expect(rows.map(({ name, last }) => [name, last])).toEqual([
    ['a{device="x\\"y"}', 3],
    ["a", Number.NaN],
    ["{}", Number.NaN],
  ]);
  expect([...rows[0].values]).toEqual([1, Number.NaN, 3]);
  expect([...rows[2].values]).toEqual([Number.NaN, Number.POSITIVE_INFINITY, Number.NaN]);
  expect(plotOf({ times, rows }, 1, 2, 1_000).lines.length).toBe(3);
});

it("takes any answer", () => {
  for (const data of [undefined, null, 3, {}, { result: 1 }, { result: [null, { values: 2 }] }]) {
    expect(answerOf(data, 0, 1_000, 1_000).times.length).toBe(2);
  }
  expect(nameOf({ device: "a" })).toBe('{device="a"}');
});

it("chooses steps of whole seconds that a person would choose", () => {
  expect([stepOf(60_000, 300), stepOf(3_600_000, 300), stepOf(30 * 86_400_000, 300)]).toEqual([
    1_000, 15_000, 14_400_000,
  ]);
});
