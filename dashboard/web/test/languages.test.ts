import { expect, it } from "vitest";
import { words as en } from "../src/i18n/en";
import { words as es } from "../src/i18n/es";

/** What is the same in both languages: names, units, signs, and words of MQTT that engineers leave as they are. */
const names =
  "Pulso Chat chat topic topics Topic Topics Hub Python ESP32 CSV PNG JSON PromQL base64 Esc Enter ms min h d s QoS MQTT broker Broker UTC URL Panel p50 p99";
const same = new Set(names.split(" "));
/** isSame reports that a text is made of such words, figures and signs alone. */
const isSame = (text: string) => text.split(/[^\p{L}\d]+/u).every((word) => same.has(word) || /^\d*$/.test(word));

/** The keys of the help are what is printed on a keyboard. */
const isKey = /^\.help\.keys\.\d+\.0$/;

/** ofThing stands for what a function says that takes more than texts and numbers. */
const ofThing = "…";
/** As many arguments as any of the functions takes. */
const samples = Array.from({ length: 6 });

/** texts are all that a dictionary says, by where it says it; functions are called with twelve and with one. */
function texts(words: unknown, path = ""): Map<string, string> {
  if (typeof words === "string") return new Map([[path, words]]);
  if (typeof words === "function") {
    const said = new Map<string, string>();
    for (const n of ["12", "1", "0"]) said.set(`${path}(${n})`, call(words as (...given: unknown[]) => unknown, n));
    return said;
  }
  return new Map(Object.entries(words as object).flatMap(([key, value]) => [...texts(value, `${path}.${key}`)]));
}

function call(say: (...given: unknown[]) => unknown, n: string): string {
  try {
    return String(say(...samples.map(() => n)));
  } catch {
    return ofThing; // Not of a text or a number: the types see to it.
  }
}

const english = texts(en);
const spanish = texts(es);

it("says the same things in both languages", () => {
  expect([...spanish.keys()].sort()).toEqual([...english.keys()].sort());
});

it("says nothing in Spanish as in English", () => {
  const left = [...english].filter(
    ([path, text]) => spanish.get(path) === text && !isSame(text) && text !== ofThing && !isKey.test(path),
  );
  expect(left).toEqual([]);
});

it("leaves nothing unsaid, and names no value that there is not", () => {
  for (const [path, text] of [...english, ...spanish]) {
    expect(text, path).not.toMatch(/undefined|NaN|\[object/);
    expect(text.trim() === "" && english.get(path)?.trim() !== "", path).toBe(false);
  }
});
