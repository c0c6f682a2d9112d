import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HubClock } from "../src/core/clock";
import { Connection, type ConnectionConfig } from "../src/core/connection";
import { Frames } from "../src/core/frame";
import { StreamLink } from "../src/core/link";
import { PaintMeter } from "../src/core/paint";
import { LossStore } from "../src/core/state/losses";
import * as closeCodes from "../src/core/wire/codes.gen";
import type { Message } from "../src/core/wire/types";
import { FakeHub } from "./fake-hub";

const values = { filters: ["#"], form: "values" as const };
const devices = { filters: ["#"], form: "devices" as const };
const frames = () => new Frames((run) => run());

function make(more: Partial<ConnectionConfig> = {}) {
  const hub = new FakeHub();
  const connection = new Connection({
    client: "test/1",
    frames: frames(),
    clock: new HubClock(),
    name: () => "",
    open: hub.open,
    answers: () => Promise.resolve(true),
    random: () => 1,
    ...more,
  });
  return { hub, connection };
}

/** block fails one WebSocket, and waits for the next attempt. */
async function block(hub: FakeHub): Promise<void> {
  hub.socket.drop();
  await vi.advanceTimersByTimeAsync(500);
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime(1_000_000);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a connection whose WebSockets are blocked", () => {
  it("goes on over server-sent events, and resumes where it was", async () => {
    const { hub, connection } = make();
    const subscription = connection.join({ filters: ["#"], form: "events" }, { frame: () => {} }, { resume: true });
    connection.connect();
    hub.welcome();
    hub.joined(1);
    hub.socket.tell({ room: 1, position: "n.7", events: [] });
    hub.socket.drop();
    await vi.advanceTimersByTimeAsync(300);
    await block(hub);
    await block(hub);
    expect(hub.sockets.map(({ over }) => over)).toEqual(["ws", "ws", "ws", "sse"]);
    hub.welcome();
    expect(connection.live).toBe(true);
    expect(connection.over).toBe("sse");
    expect(hub.socket.last("subscribe").subscribe).toMatchObject({ from: "n.7" });
    expect(subscription.position).toBe("n.7");
    connection.close();
  });

  it("does not take a hub that is away for that, nor one that sends it away", async () => {
    const { hub, connection } = make({ answers: () => Promise.resolve(false) });
    connection.connect();
    for (let i = 0; i < 6; i++) await block(hub);
    expect(hub.sockets.every(({ over }) => over === "ws")).toBe(true);
    connection.close();

    const full = make();
    full.connection.connect();
    for (let i = 0; i < 4; i++) {
      full.hub.socket.drop(closeCodes.overloaded);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(full.hub.sockets.every(({ over }) => over === "ws")).toBe(true);
    full.connection.close();
  });

  it("tries a WebSocket now and then, ever more rarely, and changes over to one that opens", async () => {
    const { hub, connection } = make();
    connection.connect();
    await block(hub);
    await block(hub);
    const stream = hub.welcome();
    const beat = async (ms: number) => {
      for (let at = 0; at < ms; at += 1000) {
        await vi.advanceTimersByTimeAsync(1000);
        stream.tell({ room: 9, position: "n.1" });
      }
    };
    await beat(31_000);
    expect(hub.sockets).toHaveLength(4);
    hub.socket.drop();
    await beat(59_000);
    expect(hub.sockets).toHaveLength(4);
    await beat(2_000);
    expect(hub.sockets).toHaveLength(5);
    expect(stream.closed).toBe(false);
    hub.welcome();
    expect(connection.over).toBe("ws");
    expect(stream.closed).toBe(true);
    expect(connection.live).toBe(true);
    connection.close();
  });

  it("lets a trial go whose stream has ended meanwhile", async () => {
    const { hub, connection } = make();
    connection.connect();
    await block(hub);
    await block(hub);
    const stream = hub.welcome();
    for (let at = 0; at < 31; at++) {
      await vi.advanceTimersByTimeAsync(1000);
      stream.tell({ room: 9, position: "n.1" });
    }
    const trial = hub.socket;
    stream.drop();
    trial.onopen?.();
    expect(trial.closed).toBe(true);
    expect(connection.state.name).toBe("reconnecting");
    connection.close();
  });
});

describe("a connection", () => {
  it("asks for no telemetry while it sleeps, and for all of it when it wakes", () => {
    const { hub, connection } = make();
    connection.connect();
    hub.welcome();
    const telemetry = connection.join(values, { frame: () => {} });
    hub.joined(1);
    connection.join(devices, { frame: () => {} });
    hub.joined(2);
    connection.sleep(true);
    expect(hub.socket.all("unsubscribe").map(({ unsubscribe }) => unsubscribe.room)).toEqual([1]);
    telemetry.replace({ ...values, devices: ["d"] });
    expect(hub.socket.all("subscribe")).toHaveLength(2);
    connection.sleep(false);
    expect(hub.socket.last("subscribe").subscribe).toEqual({ ...values, devices: ["d"] });
    hub.joined(3);
    expect(telemetry.room).toBe(3);
    connection.close();
  });

  it("does not ask for what is paused, and begins it anew afterwards", () => {
    const { hub, connection } = make();
    const telemetry = connection.join(values, { frame: () => {} });
    connection.connect();
    hub.welcome();
    hub.joined(1);
    telemetry.pause(true);
    expect(hub.socket.last("unsubscribe").unsubscribe).toEqual({ room: 1 });
    hub.socket.drop();
    vi.advanceTimersByTime(300);
    hub.welcome();
    expect(hub.socket.all("subscribe")).toHaveLength(0);
    telemetry.pause(false);
    expect(hub.socket.last("subscribe").subscribe).toEqual(values);
    connection.close();
  });

  it("leaves a room of telemetry that is answered when it sleeps already", () => {
    const { hub, connection } = make();
    connection.connect();
    hub.welcome();
    const telemetry = connection.join(values, { frame: () => {} });
    connection.sleep(true);
    hub.joined(4);
    expect(telemetry.room).toBe(0);
    expect(hub.socket.last("unsubscribe").unsubscribe).toEqual({ room: 4 });
    connection.close();
  });

  it("is fresh only when the devices are known over the present link", () => {
    const { hub, connection } = make();
    connection.join(devices, { frame: () => {} });
    connection.connect();
    hub.welcome();
    hub.joined(2);
    expect(connection.fresh).toBe(false);
    hub.socket.tell({ room: 2, snapshot: { position: "n.1", devices: [], status: [] } });
    expect(connection.fresh).toBe(true);
    hub.socket.drop();
    expect(connection.fresh).toBe(false);
    vi.advanceTimersByTime(300);
    hub.welcome();
    expect(connection.live && !connection.fresh).toBe(true);
    connection.close();
  });

  it("tells of a hub that has become another version", () => {
    const { hub, connection } = make();
    connection.connect();
    for (const [version, updated] of [
      ["1", undefined],
      ["1", undefined],
      ["2", { from: "1", to: "2" }],
      ["3", { from: "1", to: "3" }],
      ["1", undefined],
    ] as const) {
      hub.welcome(Date.now(), version);
      expect(connection.updated).toEqual(updated);
      hub.socket.drop();
      vi.advanceTimersByTime(9_000);
    }
    connection.close();
  });

  it("tells when what is new had arrived, and what it did not understand", () => {
    const arrived: number[] = [];
    const lost: string[] = [];
    const { hub, connection } = make({ arrived: (time) => arrived.push(time), lost: (what) => lost.push(what) });
    connection.join(values, { frame: () => {} });
    connection.connect();
    hub.welcome();
    hub.joined(1);
    hub.socket.tell({ room: 1, snapshot: { position: "n.1", truncated: true, values: [] } });
    hub.socket.tell({ room: 1, position: "n.2", values: [], arrived: 999_999 });
    hub.socket.tell({ room: 1, position: "n.3", values: [], arrived: 1_000_500 });
    const events = [1_000_700, 1_000_900, 1_000_800].map((time) => ({ topic: "a", time, payload: 1 }));
    hub.socket.tell({ room: 1, position: "n.4", events });
    hub.socket.tell("{");
    // Events without history: what a snapshot leaves out was not asked for.
    connection.join({ filters: ["#"], form: "events" }, { frame: () => {} });
    hub.joined(2);
    hub.socket.tell({ room: 2, snapshot: { position: "n.5", truncated: true, events: [] } });
    expect(arrived).toEqual([1_000_500, 1_000_900]);
    expect(lost).toEqual(["truncated", "bad"]);
    expect(connection.live).toBe(true);
    connection.close();
  });

  it("reports what was painted until the hub does not want to know", async () => {
    const { hub, connection } = make();
    await expect(connection.report([1])).resolves.toBe(true);
    connection.connect();
    hub.welcome();
    const first = connection.report([0, 2]);
    expect(hub.socket.last("painted").painted).toEqual({ counts: [0, 2] });
    hub.socket.tell({ id: hub.socket.last("painted").id, pong: { now: 5 } });
    await expect(first).resolves.toBe(true);
    const second = connection.report([1]);
    const error = { code: "bad_command", message: "no such", retry: false };
    hub.socket.tell({ id: hub.socket.last("painted").id, error });
    await expect(second).resolves.toBe(false);
    connection.close();
  });
});

describe("HubClock", () => {
  it("keeps the quicker of two answers that agree, and believes a slow one that does not", () => {
    const clock = new HubClock();
    clock.sync(5_010, 1_000, 1_020);
    expect(clock.offset).toBe(4_000);
    clock.sync(5_900, 1_500, 2_500);
    expect(clock.offset).toBe(4_000);
    clock.sync(15_000, 2_000, 3_000);
    expect(clock.offset).toBe(12_500);
  });

  it("is behind no frame of the hub's", () => {
    const clock = new HubClock();
    clock.observe(Date.now() + 3_000);
    expect(clock.now()).toBe(Date.now() + 3_000);
    clock.observe(Date.now() + 2_000);
    expect(clock.now()).toBe(Date.now() + 3_000);
  });
});

describe("PaintMeter", () => {
  it("counts each painted frame by what has waited longest in it", () => {
    let then: (() => void) | undefined;
    let now = 1_000;
    let shown = true;
    const paint = (at: number) => {
      now = at;
      then?.();
      then = undefined;
    };
    const meter = new PaintMeter({ now: () => now, shown: () => shown, painted: (call) => (then = call) });
    meter.arrived(998);
    meter.arrived(990);
    paint(1_006); // 16 ms
    meter.arrived(1_006);
    paint(1_005); // a clock that is a little wrong
    meter.arrived(0);
    paint(1e9);
    meter.arrived(1e9);
    meter.skip();
    paint(2e9);
    shown = false;
    meter.arrived(2e9);
    expect(then).toBeUndefined();
    const counts = meter.take();
    expect(counts).toHaveLength(64);
    expect(counts.flatMap((n, i) => (n > 0 ? [[i, n]] : []))).toEqual([
      [0, 1],
      [16, 1],
      [63, 1],
    ]);
    expect(meter.take()).toEqual([]);
  });
});

describe("LossStore", () => {
  it("says what was lost, how often and since when", () => {
    let now = 10;
    const losses = new LossStore(frames(), () => now);
    losses.note("bad");
    now = 20;
    losses.note("bad");
    losses.reach("beyond", 0);
    losses.reach("beyond", 7);
    losses.reach("beyond", 3);
    expect(losses.rows).toEqual([
      { kind: "bad", count: 2, since: 10, last: 20 },
      { kind: "beyond", count: 7, since: 20, last: 20 },
    ]);
    expect(losses.total).toBe(9);
  });
});

describe("a link over server-sent events", () => {
  class FakeSource {
    static last: FakeSource;
    onmessage: ((event: { data: string }) => void) | null = null;
    onerror: (() => void) | null = null;
    closed = false;
    readonly listeners = new Map<string, (event: { data: string }) => void>();

    constructor(readonly url: string) {
      FakeSource.last = this;
    }

    addEventListener(name: string, listener: (event: { data: string }) => void): void {
      this.listeners.set(name, listener);
    }

    close(): void {
      this.closed = true;
    }
  }

  it("posts commands in their order, one request at a time, and reads the binary form", async () => {
    vi.stubGlobal("EventSource", FakeSource);
    const posts: { body: string; done: (ok: boolean) => void }[] = [];
    vi.stubGlobal("fetch", (_path: string, { body }: { body: string }) => {
      return new Promise((resolve) => posts.push({ body, done: (ok) => resolve({ ok }) }));
    });
    const link = new StreamLink();
    const source = FakeSource.last;
    const opened = vi.fn();
    const messages: Message[] = [];
    const closed = vi.fn();
    link.onopen = opened;
    link.onmessage = (message) => messages.push(message);
    link.onclose = closed;
    source.listeners.get("session")?.({ data: '{"session":"token"}' });
    expect(opened).toHaveBeenCalledOnce();
    for (let id = 1; id <= 66; id++) link.send({ id, ping: {} });
    expect(posts.map(({ body }) => JSON.parse(body).length)).toEqual([1]);
    posts[0].done(true);
    await vi.advanceTimersByTimeAsync(0);
    posts[1].done(true);
    await vi.advanceTimersByTimeAsync(0);
    const sent = posts.flatMap(({ body }) => JSON.parse(body) as { id: number }[]);
    expect(posts.map(({ body }) => JSON.parse(body).length)).toEqual([1, 64, 1]);
    expect(sent.map(({ id }) => id)).toEqual(Array.from({ length: 66 }, (_, i) => i + 1));

    source.onmessage?.({ data: "CAU6AggJ" });
    source.onmessage?.({ data: "%%" });
    expect(messages[0]).toEqual({ kind: "reply", id: 5, reply: { type: "pong", now: 9 } });
    expect(messages[1].kind).toBe("bad");

    posts[2].done(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(closed).toHaveBeenCalledWith({ code: 1006, reason: "" });
    expect(source.closed).toBe(true);
  });

  it("ends with the hub's farewell", () => {
    vi.stubGlobal("EventSource", FakeSource);
    const link = new StreamLink();
    const closed = vi.fn();
    link.onclose = closed;
    FakeSource.last.listeners.get("close")?.({ data: '{"code":4000,"name":"shutdown"}' });
    expect(closed).toHaveBeenCalledWith({ code: 4000, reason: "" });
  });
});
