import { expect, it } from "vitest";
import { completed, contextAt, words } from "../src/core/promql";

/** The caret is where the bar stands. */
function at(marked: string) {
  const caret = marked.indexOf("|");
  return { text: marked.replace("|", ""), caret };
}
const context = (marked: string) => {
  const { text, caret } = at(marked);
  const { kind, prefix, metric, label } = contextAt(text, caret);
  return [kind, prefix, metric, label].join(" ").trim();
};

it.each([
  ["|", "expression"],
  ["tem|", "expression tem"],
  ["rate(tem|", "expression tem"],
  ["sum by (dev|", "label dev"],
  ["sum without(a, dev|) (x)", "label dev"],
  ["a + on (dev|", "label dev"],
  ["a * ON(device) group_left (na|", "label na"],
  ["temperature{|", "label  temperature"],
  ["temperature {de|", "label de temperature"],
  ['temperature{device="ki|', "value ki temperature device"],
  ['temperature{device = "|', "value  temperature device"],
  ['temperature{device=~"a.*|', "value a.* temperature device"],
  ["temperature{device!='k|", "value k temperature device"],
  ["temperature{device=`k|", "value k temperature device"],
  ['temperature{device="kiln"|', "none"],
  ['temperature{device="kiln", f|', "label f temperature"],
  ['temperature{device="a}b{\\"c", f|', "label f temperature"],
  ['temperature{device="a"} + hum|', "expression hum"],
  ['{__name__="a", d|', "label d"],
  ["temperature[5|", "none"],
  ["rate(temperature[5m]) / ra|", "expression ra"],
  ["12|", "none"],
  ["# tem|", "none"],
  ["# it's\ntem|", "expression tem"],
  ['label_replace(a, "de|', "none"],
  ["sum(rate(a[5m])) by (de|", "label de"],
  ["sum by(a)(tem|", "expression tem"],
  ["tem|perature", "expression tem"],
  [")))}|", "expression"],
])("knows what %s stands in", (marked, expected) => {
  expect(context(marked).replace(/ {2,}/g, "  ")).toBe(expected);
});

it.each([
  ["rate(tem|)", "temperature", "rate(temperature|)"],
  ["tem|perature{a=1}", "temperature", "temperature|{a=1}"],
  ['t{device="k|"}', 'ki"ln', 't{device="ki\\"ln"|}'],
  ['t{device="k|', "kiln", 't{device="kiln"|'],
  ["t{de|", "device", "t{device|"],
])("puts a choice into %s", (marked, choice, expected) => {
  const { text, caret } = at(marked);
  const done = completed(text, caret, contextAt(text, caret), choice);
  expect(`${done.text.slice(0, done.caret)}|${done.text.slice(done.caret)}`).toBe(expected);
});

it("reads whatever is written, at every place", () => {
  const pieces = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    '"',
    "'",
    "`",
    "\\",
    "#",
    "\n",
    ",",
    "=",
    "~",
    "!",
    " ",
    "by",
    "a",
    "1",
    "é",
  ];
  for (let round = 0; round < 2_000; round++) {
    const text = Array.from({ length: 12 }, () => pieces[Math.floor(Math.random() * pieces.length)]).join("");
    for (let caret = 0; caret <= text.length; caret++) {
      const found = contextAt(text, caret);
      expect(text.slice(0, caret).endsWith(found.prefix)).toBe(true);
    }
  }
});

it("offers each word once", () => {
  expect(new Set(words.map(([name]) => name)).size).toBe(words.length);
});
