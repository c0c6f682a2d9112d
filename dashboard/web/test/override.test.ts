import { describe, expect, it } from "vitest";
import { Api, ApiError, exportPath, type Override, type Report } from "../src/core/api";
import {
  differences,
  filterMatches,
  formOf,
  overrideOf,
  saysNothing,
  withFound,
  withOverride,
  without,
} from "../src/core/override";

const report = (part: Partial<Report> = {}): Report => ({
  device: "kitchen",
  format: "json",
  metrics: { "BME280.Temperature": 21.5, raw: 512 },
  texts: { mode: "eco" },
  units: { "BME280.Temperature": "°C" },
  status: null,
  timestamp: null,
  why: [],
  ...part,
});

describe("the form of an override", () => {
  it("shows what was found, and says nothing until something is written", () => {
    const form = formOf("home/kitchen", report());
    expect(form.filter).toBe("home/kitchen");
    expect(form.rows.map(({ found, sample }) => [found, sample])).toEqual([
      ["BME280.Temperature", "21.5 °C"],
      ["raw", "512"],
      ["mode", "eco"],
    ]);
    const { override, badScale } = overrideOf(form);
    expect(override).toEqual({ filter: "home/kitchen" });
    expect(badScale).toBeUndefined();
    expect(saysNothing(override)).toBe(true);
  });

  it("gives back what an override says, also of fields that the newest message has not", () => {
    const given: Override = {
      filter: "home/+",
      format: "json",
      device: "{2}",
      name: "Kitchen",
      kind: "sensor",
      fields: { raw: { name: "soil", unit: "%", scale: 0.1 }, gone: { as: "hidden" } },
      from: "dashboard",
    };
    const { from: _, ...said } = given;
    expect(overrideOf(formOf("home/kitchen", report(), given)).override).toEqual(said);
    expect(overrideOf(formOf("home/kitchen", undefined, given)).override).toEqual(said);
  });

  it("keeps what was written while the hub was asked what it finds", () => {
    const given: Override = { filter: "home/kitchen", fields: { raw: { name: "soil" }, gone: { as: "hidden" } } };
    const written = formOf("home/kitchen", undefined, given).rows;
    written[0].unit = "%";
    const rows = withFound(written, formOf("home/kitchen", report(), given).rows);
    expect(rows.map(({ found, sample, name, unit }) => [found, sample, name, unit])).toEqual([
      ["gone", "", "", ""],
      ["BME280.Temperature", "21.5 °C", "", ""],
      ["raw", "512", "soil", "%"],
      ["mode", "eco", "", ""],
    ]);
  });

  it("takes a comma for a point, and refuses a scale that is no number or 0", () => {
    const scaled = (scale: string) => {
      const form = formOf("t", report());
      form.rows[1].scale = scale;
      return overrideOf(form);
    };
    expect(scaled(" 0,5 ").override.fields).toEqual({ raw: { scale: 0.5 } });
    for (const bad of ["0", "ten", "1e999", "NaN"]) expect(scaled(bad).badScale, bad).toBe("raw");
  });

  it("takes names that are names of the language for names", () => {
    const metrics = JSON.parse('{"__proto__": 1, "constructor": 2}') as Record<string, number>;
    const form = formOf("t", report({ metrics, texts: {} }));
    expect(form.rows.map(({ found }) => found)).toEqual(["__proto__", "constructor"]);
    form.rows[0].name = "x";
    expect(JSON.stringify(overrideOf(form).override)).toBe('{"filter":"t","fields":{"__proto__":{"name":"x"}}}');
  });
});

describe("the list of overrides", () => {
  const a: Override = { filter: "a", name: "A", from: "dashboard" };
  const b: Override = { filter: "b", name: "B", from: "dashboard" };
  const fixed: Override = { filter: "#", kind: "x", from: "configuration" };
  const all = [a, b, fixed];

  it("gets a new one first, one that was changed in its place, and never one of the configuration", () => {
    expect(withOverride(all, undefined, { filter: "c" })).toEqual([
      { filter: "c" },
      { filter: "a", name: "A" },
      { filter: "b", name: "B" },
    ]);
    expect(withOverride(all, b, { filter: "b", name: "Z" })).toEqual([
      { filter: "a", name: "A" },
      { filter: "b", name: "Z" },
    ]);
    expect(without(all, a)).toEqual([{ filter: "b", name: "B" }]);
    expect(without(all, undefined)).toHaveLength(2);
  });

  it("matches topics as MQTT does", () => {
    const cases: [string, string, boolean][] = [
      ["a/b", "a/b", true],
      ["a/+", "a/b", true],
      ["a/+", "a/b/c", false],
      ["a/#", "a", true],
      ["a/#", "a/b/c", true],
      ["#", "a/b", true],
      ["#", "$SYS/x", false],
      ["+/b", "a/c", false],
      ["a/b/c", "a/b", false],
      ["", "a", false],
    ];
    for (const [filter, topic, wanted] of cases)
      expect(filterMatches(filter, topic), `${filter} ${topic}`).toBe(wanted);
  });

  it("sets before beside after, what differs first", () => {
    const after = report({ metrics: { temperature: 21.5, raw: 512 }, units: { temperature: "°C" }, name: "Kitchen" });
    expect(differences(report(), after)).toEqual([
      { what: "name", part: true, before: "", after: "Kitchen" },
      { what: "BME280.Temperature", part: false, before: "21.5 °C", after: "" },
      { what: "temperature", part: false, before: "", after: "21.5 °C" },
      { what: "device", part: true, before: "kitchen", after: "kitchen" },
      { what: "format", part: true, before: "json", after: "json" },
      { what: "raw", part: false, before: "512", after: "512" },
      { what: "mode", part: false, before: "“eco”", after: "“eco”" },
    ]);
  });
});

describe("Api", () => {
  const answering = (status: number, body: string) => {
    const calls: [string, RequestInit][] = [];
    const api = new Api(async (url, init) => {
      calls.push([url, init]);
      return new Response(body, { status });
    });
    return { api, calls };
  };

  it("reads the past, with NaN for what is no number, and asks for whole milliseconds", async () => {
    const { api, calls } = answering(
      200,
      '{"series":[{"topic":"t","field":"a","step":10,"times":[1,2],"last":[5,null],"min":[4,1]},7]}',
    );
    const [one, other] = await api.history({ device: "a/b c", from: 1.5, to: 9.5, points: 600 });
    expect(calls[0][0]).toBe("/api/v1/history?device=a%2Fb+c&from=1&to=10&points=600");
    expect([...one.last]).toEqual([5, Number.NaN]);
    expect([...one.min]).toEqual([4, 1]);
    expect([...one.max]).toEqual([5, Number.NaN]);
    expect(one.step).toBe(10);
    expect(other.times).toHaveLength(0);
  });

  it("shows a payload as it was sent, and keeps the slashes of an id", async () => {
    const { api, calls } = answering(
      200,
      '{"id":"a/b c","topics":[{"topic":"t","why":["x"],"payload":{"n":12345678901234567890,"n":1.0}},{"topic":"u","payload_base64":"AAE="}]}',
    );
    const { topics } = await api.device("a/b c");
    expect(calls[0][0]).toBe("/api/v1/devices/a/b%20c");
    expect(topics[0]).toMatchObject({ payload: '{"n":12345678901234567890,"n":1.0}', encoding: "json", why: ["x"] });
    expect(topics[1]).toMatchObject({ payload: "AAE=", encoding: "base64", problem: "" });
  });

  it("gives a refusal in the hub's words", async () => {
    const { api } = answering(409, '{"title":"Conflict","status":409,"detail":"read them again"}');
    const error = await api.saveOverrides("v", []).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 409, message: "read them again" });
    await expect(answering(502, "<html>").api.overrides()).rejects.toMatchObject({ status: 502, message: "502" });
    await expect(answering(200, "<html>").api.overrides()).rejects.toThrow("no JSON");
  });

  it("names an export by its device", () => {
    expect(exportPath("a&b/c", "jsonl")).toBe("/api/v1/export?device=a%26b%2Fc&format=jsonl");
  });
});
