import { describe, expect, it } from "vitest";
import { gapAfter, rangeOf, trackData } from "../src/charts/range";
import { dots, stretches } from "../src/charts/stretches";
import { HubClock } from "../src/core/clock";
import { Frames } from "../src/core/frame";
import { ChatStore, messageLimit } from "../src/core/state/chat";
import { HubStore } from "../src/core/state/hub";
import { SeriesStore } from "../src/core/state/series";
import { TailStore, tailLimit } from "../src/core/state/tail";
import { flatten, TopicStore } from "../src/core/state/topics";
import { ViewStore } from "../src/core/state/view";
import type { ChatMessage, Event, Frame, Series } from "../src/core/wire/types";
import { frameOf } from "./frames";
import { parse } from "./json";

const frames = new Frames((run) => run());
const event = (time: number, part: Partial<Event> = {}): Event => ({
  topic: "t",
  device: "",
  time,
  payload: "1",
  encoding: "json",
  error: "",
  count: 1,
  will: false,
  ...part,
});
const series = (number: number, name: string, device = "d"): Series => ({
  series: number,
  device,
  name,
  unit: "",
  topic: "t",
});

describe("SeriesStore", () => {
  it("merges what a new snapshot repeats, also where the hub has numbered its series anew", () => {
    const store = new SeriesStore(frames, 16, 8);
    store.apply(
      frameOf({
        series: [series(1, "a")],
        values: [
          [1, 10, 1],
          [1, 20, 2],
        ],
      }),
      true,
    );
    store.apply(frameOf({ values: [[1, 30, 3, 0, 9, 4]] }), false);
    store.apply(
      frameOf({
        series: [series(7, "a"), series(1, "b")],
        values: [
          [7, 20, 2],
          [7, 30, 3],
          [7, 40, 4],
          [1, 5, 50],
        ],
      }),
      true,
    );
    const [a, b] = store.list();
    expect([...a.ring.times()]).toEqual([10, 20, 30, 40]);
    expect([...a.ring.maxs()]).toEqual([1, 2, 9, 4]);
    expect([...b.ring.lasts()]).toEqual([50]);
  });

  it("keeps to its limit and says what is beyond, and forgets what is out of sight", () => {
    const store = new SeriesStore(frames, 4, 2);
    store.apply(
      frameOf({ series: [series(1, "a", "x"), series(2, "b", "y"), series(3, "c", "z")], values: [[3, 1, 1]] }),
      true,
    );
    expect(store.list()).toHaveLength(2);
    expect(store.refused).toBe(1);
    store.retain(new Set(["y"]));
    expect(store.list().map((track) => track.meta.name)).toEqual(["b"]);
    expect(store.of("x")).toEqual([]);
  });
});

describe("charts", () => {
  const store = new SeriesStore(frames, 16, 8);
  store.apply(frameOf({ series: [series(1, "a")] }), true);
  for (let i = 0; i < 10; i++) store.apply(frameOf({ values: [[1, 1000 * i, i]] }), false);
  const [track] = store.list();

  it("enter and leave a range with one point on each side", () => {
    const live = trackData(
      track,
      undefined,
      rangeOf({ name: "live" }, () => 9000, 3500),
      "--series-1",
    );
    expect([...(live.times as Float64Array)]).toEqual([5000, 6000, 7000, 8000, 9000]);
    expect(live.gapAfter).toBe(2500);
    const held = trackData(
      track,
      undefined,
      rangeOf({ name: "exploring", from: 2500, to: 4500, events: 0 }, () => 9000, 3500),
      "--series-1",
    );
    expect([...(held.times as Float64Array)]).toEqual([2000, 3000, 4000, 5000]);
  });

  it("begin where there was first anything, but show a minute at least", () => {
    const from = (now: number, since?: number) => rangeOf({ name: "live" }, () => now, 300_000, since).from;
    expect(from(1_000_000)).toBe(700_000);
    expect(from(1_000_000, 100_000)).toBe(700_000);
    expect(from(1_000_000, 800_000)).toBe(800_000);
    expect(from(1_000_000, 995_000)).toBe(940_000);
  });

  it("keep a held range while the ring goes on", () => {
    const held = trackData(
      track,
      undefined,
      rangeOf({ name: "paused", at: 9000, events: 0 }, () => 9000, 20_000),
      "--series-1",
    );
    const before = [...(held.times as Float64Array)];
    for (let i = 10; i < 40; i++) store.apply(frameOf({ values: [[1, 1000 * i, i]] }), false);
    expect([...(held.times as Float64Array)]).toEqual(before);
  });

  it("do not take the usual silence of an irregular series for a gap", () => {
    const irregular = new SeriesStore(frames, 64, 1);
    irregular.apply(frameOf({ series: [series(1, "door")] }), true);
    let time = 0;
    for (let i = 0; i < 40; i++) {
      time += i % 4 === 0 ? 60_000 : 5_000;
      irregular.apply(frameOf({ values: [[1, time, i]] }), false);
    }
    expect(gapAfter(irregular.list()[0].ring.times())).toBe(150_000);
  });

  it("join only what was measured, and show as a dot what no line leads to", () => {
    const values = [Number.NaN, 3, 4, Number.NaN, 9, Number.NaN, 5, 6];
    const times = values.map((_, i) => 1000 * i);
    const joined = stretches(times, values, 2500);
    expect(joined).toEqual([
      [1, 2],
      [4, 4],
      [6, 7],
    ]);
    expect(stretches([0, 1000, 9000], [1, 2, 3], 2500)).toEqual([
      [0, 1],
      [2, 2],
    ]);
    expect(dots(joined, 4)).toEqual([4]);
    expect(dots(joined, 5)).toEqual([1, 2, 4, 6, 7]);
    expect(dots(stretches([7], [1], Number.POSITIVE_INFINITY), 50)).toEqual([0]);
    expect(dots(stretches([], [], 1), 50)).toEqual([]);
  });
});

describe("TailStore", () => {
  it("keeps the newest rows and counts the rest", () => {
    let now = 0;
    const tail = new TailStore(frames, () => now);
    tail.apply(frameOf({}), true);
    for (let i = 0; i < 5; i++) {
      now += 1000;
      tail.apply(frameOf({ events: Array.from({ length: 1000 }, (_, j) => event(i * 1000 + j)) }), false);
    }
    expect(tail.rows).toHaveLength(tailLimit);
    expect(tail.total).toBe(5000);
    expect(tail.rows.at(-1)).toMatchObject({ event: { time: 4999 } });
    expect(tail.rates()).toEqual({ shown: 1000, all: 1000 });
  });

  it("tells how many events the shown ones stand for", () => {
    let now = 0;
    const tail = new TailStore(frames, () => now);
    tail.apply(frameOf({ events: [event(1, { count: 9 }), event(2)] }), false);
    now = 5_000;
    expect(tail.rates()).toEqual({ shown: 0.4, all: 2 });
  });

  it("knows no rate until it has looked on for the time that it measures over, and again after a change of filter", () => {
    let now = 0;
    const tail = new TailStore(frames, () => now);
    const unknown = { shown: Number.NaN, all: Number.NaN };
    expect(tail.rates()).toEqual(unknown);
    tail.apply(frameOf({ events: [event(1)] }), false);
    now = 4_999;
    tail.apply(frameOf({ events: [event(2)] }), false);
    expect(tail.rates()).toEqual(unknown);
    now = 5_000;
    expect(tail.rates()).toEqual({ shown: 0.4, all: 0.4 });
    tail.clear();
    tail.apply(frameOf({}), true);
    expect(tail.rates()).toEqual(unknown);
    now = 10_000;
    expect(tail.rates()).toEqual({ shown: 0, all: 0 });
  });

  it("shows a gap in its place and sorts a snapshot by time", () => {
    const tail = new TailStore(frames);
    tail.apply(frameOf({ events: [event(2), event(1)] }), true);
    tail.gap({ from: "a", to: "b", events: 3, reason: "retention" });
    expect(tail.rows.map((row) => ("gap" in row ? "gap" : row.event.time))).toEqual([1, 2, "gap"]);
  });

  it("goes on beneath a pause", () => {
    const tail = new TailStore(frames);
    tail.apply(frameOf({ events: [event(1)] }), false);
    tail.freeze(true);
    tail.apply(frameOf({ events: [event(2)] }), false);
    expect(tail.rows).toHaveLength(1);
    tail.freeze(false);
    expect(tail.rows).toHaveLength(2);
  });
});

describe("TopicStore", () => {
  const topic = (number: number, name: string) => ({ topic: number, name, device: "" });
  const activity = (number: number, events: number, rate: number, time = 1) => ({
    topic: number,
    time,
    events,
    rate,
    bytes: 1,
    preview: `p${events}`,
  });

  it("sums what is below a level, also where a level is a topic itself", () => {
    const store = new TopicStore(frames);
    store.apply(
      frameOf({
        topics: [topic(1, "a/b"), topic(2, "a/b/c"), topic(3, "a/d"), topic(4, "/x"), topic(5, "a/b")],
        activity: [activity(1, 10, 1), activity(2, 5, 2, 9), activity(3, 1, 0.5)],
      }),
      true,
    );
    const figures = (path: string) => {
      const at = store.find(path)?.index ?? -1;
      return [store.columns.events[at], store.columns.rate[at], store.columns.time[at]];
    };
    expect(store.count).toBe(4);
    expect(figures("a")).toEqual([16, 3.5, 9]);
    expect(figures("a/b")).toEqual([15, 3, 9]);
    store.apply(frameOf({ activity: [activity(2, 6, 0, 12), activity(1, 11, 1)] }), false);
    expect(figures("a")).toEqual([18, 1.5, 12]);
    expect(store.find("/x")?.path).toBe("/x");
  });

  it("lists open levels by name and joins levels with a single child", () => {
    const store = new TopicStore(frames);
    store.apply(frameOf({ topics: [topic(1, "site/z/t"), topic(2, "site/a/x/y"), topic(3, "site/a/x/w")] }), true);
    const labels = (open: (path: string) => boolean, filter = "") =>
      flatten(store.root, (node) => open(node.path), filter).map((row) => `${" ".repeat(row.indent)}${row.label}`);
    expect(labels(() => false)).toEqual(["site"]);
    expect(labels((path) => path === "site")).toEqual(["site", " a/x", " z/t"]);
    expect(labels(() => true)).toEqual(["site", " a/x", "  w", "  y", " z/t"]);
    expect(labels(() => false, "X/Y")).toEqual(["site", " a/x", "  y"]);
  });

  it("begins anew with a hub that numbers and counts anew", () => {
    const store = new TopicStore(frames);
    store.apply(
      frameOf({ topics: [topic(1, "a"), topic(2, "b")], activity: [activity(1, 10, 1), activity(2, 20, 1)] }),
      true,
    );
    const before = store.epoch;
    store.apply(frameOf({ topics: [topic(1, "b"), topic(2, "a")], activity: [activity(1, 30, 1)] }), true);
    expect(store.columns.events[store.find("b")?.index ?? -1]).toBe(30);
    expect(store.epoch).toBe(before);
    store.apply(frameOf({ topics: [topic(1, "b")], activity: [activity(1, 3, 1)] }), true);
    expect(store.epoch).not.toBe(before);
    expect(store.find("a")).toBeUndefined();
    expect(store.columns.events[store.root.index]).toBe(3);
  });
});

describe("HubStore", () => {
  const told = (hub: Record<string, unknown>, snapshot = false): Frame => {
    const text = JSON.stringify(
      snapshot ? { room: 1, snapshot: { position: "p", hub } } : { room: 1, position: "p", hub },
    );
    const message = parse(text);
    if (message.kind !== "frame") throw new Error("not a frame");
    return message.frame;
  };

  it("adds each second to the history, counts new errors, and keeps what a restarted hub has forgotten", () => {
    const hub = new HubStore(frames);
    const row = (time: number) => [time, 1, 1, 1, 1, 1, 0];
    hub.apply(told({ time: 3000, undecodable: 5, history: [row(1000), row(2000), row(3000)] }, true), true);
    hub.apply(told({ time: 4000, undecodable: 7, events_per_s: 9, drops: [["slow", 1]] }), false);
    expect([...hub.column("time")]).toEqual([1000, 2000, 3000, 4000]);
    expect(hub.column("errors")[3]).toBe(3);
    hub.apply(told({ time: 9000, undecodable: 0, history: [row(9000)] }, true), true);
    expect([...hub.column("time")]).toEqual([1000, 2000, 3000, 4000, 9000]);
    for (let i = 10; i < 400; i++) hub.apply(told({ time: i * 1000 }), false);
    expect(hub.history).toHaveLength(300);
  });

  it("knows a second in which nothing was measured from one that took no time", () => {
    const hub = new HubStore(frames);
    const history = [
      [1000, 1, null, null, 1, 1, 0],
      [2000, 1, 0, 3.5, 1, 1, 0],
    ];
    hub.apply(told({ time: 2000, history }, true), true);
    hub.apply(told({ time: 3000, latency: { p50: null, p99: null } }), false);
    expect([...hub.column("p99")]).toEqual([Number.NaN, 3.5, Number.NaN]);
    expect([...hub.column("p50")]).toEqual([Number.NaN, 0, Number.NaN]);
  });
});

describe("ChatStore", () => {
  const message = (n: number, part: Partial<ChatMessage> = {}): ChatMessage => ({
    position: `n.${n}`,
    channel: "general",
    from: "Ana",
    text: `m${n}`,
    time: n,
    source: "screen",
    ...part,
  });
  const say = (...messages: ChatMessage[]) => frameOf({ chat: { channels: [], messages, present: [] } });

  it("shows each message once, in order, also after a reconnect", () => {
    const chat = new ChatStore(frames);
    chat.apply(say(message(1), message(2)), true);
    chat.apply(say(message(3)), false);
    chat.apply(say(message(2), message(3), message(4)), true);
    expect(chat.messages("general").map((one) => one.text)).toEqual(["m1", "m2", "m3", "m4"]);
  });

  it("counts as unread what is new, and not what was there before", () => {
    const chat = new ChatStore(frames);
    chat.apply(say(message(1)), true);
    expect(chat.unreadTotal).toBe(0);
    chat.apply(say(message(2), message(3, { channel: "other" })), false);
    expect(chat.unreadTotal).toBe(2);
    chat.look("general");
    expect([chat.unread("general"), chat.unread("other")]).toEqual([0, 1]);
    chat.apply(say(message(4)), false);
    expect(chat.unread("general")).toBe(0);
  });

  it("keeps the newest messages of a channel", () => {
    const chat = new ChatStore(frames);
    chat.apply(say(...Array.from({ length: messageLimit + 20 }, (_, i) => message(i))), false);
    expect(chat.messages("general")).toHaveLength(messageLimit);
    expect(chat.messages("general")[0].text).toBe("m20");
  });

  it("tells who is there, and forgets it when a snapshot says so", () => {
    const chat = new ChatStore(frames);
    const there = (members: { name: string; kind: string }[]) =>
      frameOf({ chat: { channels: ["general"], messages: [], present: [{ channel: "general", members }] } });
    chat.apply(there([{ name: "Ana", kind: "screen" }]), true);
    expect(chat.present("general").map((member) => member.name)).toEqual(["Ana"]);
    chat.apply(frameOf({ chat: { channels: ["general"], messages: [], present: [] } }), true);
    expect(chat.present("general")).toEqual([]);
  });
});

describe("ViewStore", () => {
  it("pauses the view and counts what goes by", () => {
    let events = 100;
    const view = new ViewStore(frames, new HubClock(), () => events);
    const frozen: boolean[] = [];
    const end = view.attach({ freeze: (value) => frozen.push(value) });
    view.toggle();
    events = 150;
    expect([view.paused, view.missed]).toEqual([true, 50]);
    const at = view.now();
    expect(view.now()).toBe(at);
    view.toggle();
    expect([view.mode.name, view.missed]).toEqual(["live", 0]);
    view.explore(1, 2);
    view.explore(3_000, 4_000);
    events = 170;
    expect(view.mode).toEqual({ name: "exploring", from: 3_000, to: 4_000, events: 150 });
    expect(view.missed).toBe(20);
    expect(frozen).toEqual([false, true, false, false, false]);
    end();
    view.pause();
    expect(frozen).toHaveLength(5);
  });

  it("explores what there can be, whatever is asked for", () => {
    const clock = new HubClock();
    const view = new ViewStore(frames, clock, () => 0);
    for (const [from, to] of [
      [1, 1e20],
      [-1e20, -5],
      [clock.now() + 3_600_000, clock.now() + 7_200_000],
      [clock.now() - 5, clock.now() - 5],
    ]) {
      view.explore(from, to);
      const { mode } = view;
      if (mode.name !== "exploring") throw new Error(mode.name);
      expect(mode.from).toBeGreaterThanOrEqual(0);
      expect(mode.to).toBeLessThanOrEqual(clock.now());
      expect(mode.to - mode.from).toBeGreaterThanOrEqual(1_000);
    }
  });
});
