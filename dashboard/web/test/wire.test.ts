import { describe, expect, it } from "vitest";
import { payloadSources } from "../src/core/wire/payloads";
import { parse } from "./json";

function frame(text: string) {
  const message = parse(text);
  if (message.kind !== "frame") throw new Error(`not a frame but ${JSON.stringify(message)}`);
  return message;
}

describe("parse", () => {
  it("reads the examples of the protocol's page", () => {
    expect(parse('{"id":1,"welcome":{"session":"s1f","node":"k3f","version":"0.1.0","now":1763830000000}}')).toEqual({
      kind: "reply",
      id: 1,
      reply: { type: "welcome", session: "s1f", node: "k3f", version: "0.1.0", now: 1763830000000 },
    });
    expect(parse('{"id":2,"subscribed":{"room":7,"position":"k3f.1042","recovered":true}}')).toMatchObject({
      reply: { type: "subscribed", room: 7, position: "k3f.1042", recovered: true, reason: "" },
    });
    expect(parse('{"id":9,"error":{"code":"invalid_filter","message":"bad","retry":false}}')).toMatchObject({
      reply: { type: "error", error: { code: "invalid_filter", message: "bad", retry: false } },
    });
    expect(parse('{"room":7,"gap":{"from":"k3f.900","to":"k3f.1000","events":100,"reason":"retention"}}')).toEqual({
      kind: "gap",
      room: 7,
      gap: { from: "k3f.900", to: "k3f.1000", events: 100, reason: "retention" },
    });

    const values = frame(
      '{"room":8,"position":"k3f.1050","series":[[12,"d1","temperature","°C","devices/d1/telemetry"]],"values":[[12,1763830000123,21.5],[12,1763830000623,21.9,21.4,23.0,6]]}',
    );
    expect(values.snapshot).toBe(false);
    expect(values.frame.series[0]).toEqual({
      series: 12,
      device: "d1",
      name: "temperature",
      unit: "°C",
      topic: "devices/d1/telemetry",
    });
    expect(values.frame.values).toEqual([
      [12, 1763830000123, 21.5],
      [12, 1763830000623, 21.9, 21.4, 23, 6],
    ]);

    const devices = frame(
      '{"room":9,"position":"p","devices":[{"device":3,"id":"d1","kind":"thermostat","name":"Kitchen","first":1,"topics":["t"],"client":"d1","metrics":[[12,"d1","temperature","°C","t"]],"texts":[["mode","eco"]]}],"status":[[3,"online",5,123,4711,1000,null,0]]}',
    );
    expect(devices.frame.devices[0]).toMatchObject({ id: "d1", texts: [["mode", "eco"]] });
    expect(devices.frame.status[0].value).toBeNaN();
  });

  it("reads a chat and the hub's figures, and makes what is missing NaN and not 0", () => {
    const chat = frame(
      '{"room":5,"position":"p","chat":{"channels":["general"],"messages":[{"position":"k3f.88","channel":"general","from":"Ana","text":"hello","time":1,"source":"mqtt"}],"present":[{"channel":"general","members":[["Ana","screen"]]}]}}',
    ).frame.chat;
    expect(chat?.messages[0].text).toBe("hello");
    expect(chat?.present[0].members).toEqual([{ name: "Ana", kind: "screen" }]);

    const hub = frame(
      '{"room":4,"snapshot":{"position":"p","hub":{"time":5,"devices":{"total":3},"drops":[["slow",2],["x"]],"history":[[1,2,3,4,5,6,7],[1]]}}}',
    );
    expect(hub.snapshot).toBe(true);
    expect(hub.frame.hub?.devices.total).toBe(3);
    expect(hub.frame.hub?.devices.online).toBeNaN();
    expect(hub.frame.hub?.latency.p50).toBeNaN();
    expect(hub.frame.hub?.drops[0]).toEqual(["slow", 2]);
    expect(hub.frame.hub?.history).toHaveLength(1);
  });

  it("reads who was passed by, who is behind and why nothing is stored", () => {
    const { hub } = frame(
      '{"room":4,"position":"p","hub":{"time":5,"sessions":12,"behind":3,' +
        '"missed":[{"time":4,"client":"pump-7","from":"a.1","to":"a.9","events":8,"reason":"retention"},7],' +
        '"problems":[{"since":2,"kind":"log_full","text":"log: no room"},{}]}}',
    ).frame;
    expect(hub).toMatchObject({ sessions: 12, behind: 3 });
    expect(hub?.missed).toEqual([
      { time: 4, client: "pump-7", from: "a.1", to: "a.9", events: 8, reason: "retention" },
    ]);
    expect(hub?.problems).toEqual([
      { since: 2, kind: "log_full", text: "log: no room" },
      { since: Number.NaN, kind: "", text: "" },
    ]);
    const older = frame('{"room":4,"position":"p","hub":{"time":5}}').frame.hub;
    expect(older).toMatchObject({ missed: [], problems: [], sessions: Number.NaN, behind: Number.NaN });
  });

  it("keeps the text of a payload as the device sent it", () => {
    const { events } = frame(
      '{"room":7,"position":"p","events":[' +
        '{"topic":"a","time":1,"payload":{"n":12345678901234567890,"n":1.10, "s":"}]\\"\\\\"}},' +
        '{"topic":"b","time":2,"payload_text":"plain"},' +
        '{"topic":"c","time":3,"payload_base64":"AAE=","error":"no decoder","count":7,"will":true},' +
        '{"topic":"d","device":"d","time":4,"payload":null},' +
        '{"topic":"e","time":5,"payload": [ {} , [] ] }]}',
    ).frame;
    expect(events.map((event) => event.payload)).toEqual([
      '{"n":12345678901234567890,"n":1.10, "s":"}]\\"\\\\"}',
      "plain",
      "AAE=",
      "null",
      "[ {} , [] ]",
    ]);
    expect(events.map((event) => event.encoding)).toEqual(["json", "text", "base64", "json", "json"]);
    expect(events[2]).toMatchObject({ error: "no decoder", count: 7, will: true });
    expect(events[0]).toMatchObject({ count: 1, will: false, device: "" });
  });

  it("finds payloads in snapshots and passes over look-alikes", () => {
    const text =
      ' { "room" : 1 , "snapshot" : { "series":[["events"]], "x":{"events":[{"payload":1}]}, "events" : [ {"time":1,"payload" : 1e3 , "topic":"t"} ] } } ';
    expect(payloadSources(text)).toEqual(["1e3"]);
    expect(frame(text).frame.events[0].payload).toBe("1e3");
  });

  it("says what it cannot read, and never throws", () => {
    for (const text of [
      "",
      "null",
      "[]",
      "7",
      '"x"',
      "{",
      "{}",
      '{"id":1}',
      '{"id":1,"subscribed":{}}',
      '{"id":"1","pong":{}}',
      "[".repeat(100_000),
    ]) {
      expect(parse(text).kind, text.slice(0, 20)).toBe("bad");
    }
  });

  it("leaves out rows of the wrong shape and keeps the others", () => {
    const { frame: read } = frame(
      JSON.stringify({
        room: 1,
        position: 7,
        events: [null, {}, { topic: 3 }, { topic: "ok", payload: 1 }],
        series: [[], ["x"], [1]],
        values: [[1, 2], [1, 2, null], [1, 2, 3, 4], [1, 2, "3"], {}, [1, 2, 3]],
        devices: [{ id: "no number" }, { device: 1 }, { device: 1, id: "ok", metrics: {}, topics: [1, "t"] }],
        status: [
          [1, "exploded", 1],
          [1, "stale", 1],
        ],
        topics: [[1], [1, "t"]],
        activity: [["1"], [1]],
        hub: [],
        chat: "x",
      }),
    );
    expect(read.position).toBe("");
    expect(read.events.map((event) => event.topic)).toEqual(["ok"]);
    expect(read.events[0].payload).toBe("1");
    expect(read.series).toHaveLength(1);
    expect(read.values).toEqual([[1, 2, 3]]);
    expect(read.devices.map((device) => device.topics)).toEqual([["t"]]);
    expect(read.status.map((row) => row.status)).toEqual(["stale"]);
    expect(read.topics).toHaveLength(1);
    expect(read.activity[0].rate).toBeNaN();
    expect(read.hub).toBeUndefined();
    expect(read.chat).toBeUndefined();
  });

  it("cuts out the right text whatever the frame looks like", () => {
    // A small generator: the same seed gives the same frames.
    let seed = 42;
    const next = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % n;
    };
    const value = (depth: number): unknown => {
      switch (next(depth > 3 ? 5 : 7)) {
        case 0:
          return next(1000) / 8;
        case 1:
          return ['a"b', "\\", "{[,:]}", "\u0000é\u2028", '"payload":', ""][next(6)];
        case 2:
          return null;
        case 3:
          return true;
        case 4:
          return -0.5e-7;
        case 5:
          return Array.from({ length: next(4) }, () => value(depth + 1));
        default:
          return Object.fromEntries(
            Array.from({ length: next(4) }, () => [["payload", "events", 'k"', "x"][next(4)], value(depth + 1)]),
          );
      }
    };
    for (let i = 0; i < 500; i++) {
      const payloads = Array.from({ length: next(5) }, () => value(0));
      const events = payloads.map((payload, j) => ({ topic: `t${j}`, time: j, payload }));
      const text = JSON.stringify({ room: 1, snapshot: { position: "p", events } }, null, next(3));
      const read = frame(text).frame.events;
      expect(read.map((event) => JSON.parse(event.payload))).toEqual(payloads);
    }
  });
});
