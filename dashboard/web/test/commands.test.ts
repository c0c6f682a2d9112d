import { beforeEach, describe, expect, it } from "vitest";
import type { ExplainedTopic } from "../src/core/api";
import { asOf, commandOf, draftOf, ended, Remembered, templates, topicProblem } from "../src/core/commands";

const topic = (name: string, payload = "", encoding: ExplainedTopic["encoding"] = "json"): ExplainedTopic => ({
  topic: name,
  payload,
  encoding,
  format: "",
  problem: "",
  time: 0,
  deviceTime: Number.NaN,
  why: [],
  omitted: false,
});

describe("templates", () => {
  it.each([
    ["tele/plug/STATE", "cmnd/plug/POWER", "ON"],
    ["home/tele/plug/STATE", "home/cmnd/plug/POWER", "ON"],
    ["zigbee2mqtt/bulb", "zigbee2mqtt/bulb/set", '{"state":"ON"}'],
    ["shellies/s1/relay/0/power", "shellies/s1/relay/0/command", "on"],
    ["shelly/events/rpc", "shelly/rpc", '{"id":1,"src":"pulso","method":"Switch.Set","params":{"id":0,"on":true}}'],
    ["esp/switch/pump/state", "esp/switch/pump/command", "ON"],
    ["homie/d/n/p", "homie/d/n/p/set", "true"],
  ])("of a device on %s go to %s", (from, to, payload) => {
    expect(templates("d", [topic(from)])[0]).toMatchObject({ topic: to, payload });
  });

  it("are of the values that can be set, and there is always one", () => {
    const some = templates("t", [topic("devices/t/telemetry", '{"temperature":20,"setpoint":21}')]);
    expect(some).toEqual([{ name: "setpoint", topic: "devices/t/set", payload: '{"setpoint":21}' }]);
    expect(templates("t", [topic("devices/t/telemetry", "nonsense")])).toEqual([
      { name: "JSON", topic: "devices/t/set", payload: '{"state":"on"}' },
    ]);
    expect(templates("t", [])).toHaveLength(1);
  });

  it("are bounded", () => {
    const many = Array.from({ length: 50 }, (_, i) => topic(`homie/d/n/p${i}`));
    expect(templates("d", many).length).toBeLessThanOrEqual(12);
  });
});

it("knows which topics take no command", () => {
  expect(["", "a/+", "a/#", "$SYS/a", "a/b"].map(topicProblem)).toEqual([
    "empty",
    "wildcard",
    "wildcard",
    "reserved",
    undefined,
  ]);
});

it("reads a command of the hub, and unknown is not zero", () => {
  const one = commandOf({
    id: "a",
    state: "failed",
    failed: 5,
    sent: 1,
    delivered: null,
    took: null,
    payload_text: "x",
  });
  expect(one).toMatchObject({ id: "a", state: "failed", ended: 5, sent: 1, payload: "x" });
  expect(one.took).toBeNaN();
  expect(one.delivered).toBeNaN();
  expect(ended(one)).toBe(true);
  expect(ended(commandOf({ state: "?" }))).toBe(false);
  expect(commandOf(null).id).toBe("");
});

it("tells of the past what was known then", () => {
  const one = commandOf({
    id: "a",
    state: "acknowledged",
    sent: 10,
    delivered: 20,
    acknowledged: 30,
    took: 20,
    response: "ok",
    to: "d",
  });
  expect(asOf([one], 5)).toEqual([]);
  expect(asOf([one], 15)[0]).toMatchObject({ state: "sent", to: "", response: "", took: Number.NaN });
  expect(asOf([one], 25)[0]).toMatchObject({ state: "delivered", to: "d", response: "" });
  expect(asOf([one], 30)[0]).toBe(one);
});

describe("remembered commands", () => {
  beforeEach(() => localStorage.clear());

  it("are the newest, each once, of a bounded number of devices", () => {
    const remembered = new Remembered();
    for (let i = 0; i < 20; i++) remembered.add("d", draftOf("t", String(i)));
    remembered.add("d", draftOf("t", "18"));
    expect(remembered.of("d").map(({ payload }) => payload)).toEqual(["18", "19", "17", "16", "15", "14"]);
    for (let i = 0; i < 40; i++) remembered.add(`other${i}`, draftOf("t", "x"));
    expect(remembered.of("d")).toEqual([]);
    expect(new Remembered().of("other39")).toHaveLength(1);
  });

  it("survive nonsense in the storage", () => {
    localStorage.setItem("pulso.commands", '[["d",[{"topic":5}]]]');
    expect(new Remembered().of("d")[0]).toMatchObject({ topic: "5", qos: 1, timeout: 10 });
    localStorage.setItem("pulso.commands", "{");
    expect(new Remembered().of("d")).toEqual([]);
  });
});
