import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { backoff } from "../src/core/backoff";
import { HubClock } from "../src/core/clock";
import { CommandError, Connection, type ConnectionConfig } from "../src/core/connection";
import { Frames } from "../src/core/frame";
import * as closeCodes from "../src/core/wire/codes.gen";
import { FakeHub } from "./fake-hub";

const events = { filters: ["#"], form: "events" as const, history: 5 };

function make(name = "", more: Partial<ConnectionConfig> = {}) {
  const hub = new FakeHub();
  const clock = new HubClock();
  const connection = new Connection({
    client: "test/1",
    frames: new Frames((run) => run()),
    clock,
    name: () => name,
    open: hub.open,
    answers: () => Promise.resolve(false),
    random: () => 1,
    ...more,
  });
  return { hub, clock, connection };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime(1_000_000);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("backoff", () => {
  it("grows from a quarter of a second to eight seconds, and is spread by chance", () => {
    expect(backoff(0, () => 1)).toBe(250);
    expect(backoff(1, () => 1)).toBe(300);
    expect([20, 99, 1e9].map((n) => backoff(n, () => 1))).toEqual([8000, 8000, 8000]);
    expect(backoff(0, () => 0)).toBe(125);
  });

  it("finds a hub within two seconds of its return when it was away for five", () => {
    // Half a second of the two is for the link itself.
    for (const chance of [0, 0.3, 0.5, 0.8, 1]) {
      for (let returns = 4_500; returns < 5_500; returns += 10) {
        let elapsed = 0;
        for (let attempt = 0; elapsed < returns; attempt++) elapsed += backoff(attempt, () => chance);
        expect(elapsed - returns).toBeLessThan(1_500);
      }
    }
  });
});

describe("Connection", () => {
  it("says hello, becomes live with the welcome, and takes the hub's clock", () => {
    const { hub, clock, connection } = make("Ana");
    connection.connect();
    expect(connection.state.name).toBe("connecting");
    hub.welcome(Date.now() + 60_000);
    expect(hub.socket.last("hello").hello).toEqual({ client: "test/1", name: "Ana" });
    expect(connection.live).toBe(true);
    expect(clock.now()).toBe(Date.now() + 60_000);
    connection.close();
  });

  it("hands frames to the subscription of their room, and ignores rooms it does not know", () => {
    const { hub, connection } = make();
    const frame = vi.fn();
    const gap = vi.fn();
    connection.join(events, { frame, gap });
    connection.connect();
    hub.welcome();
    hub.joined(7);
    hub.socket.tell({ room: 7, snapshot: { position: "n.2", events: [] } });
    hub.socket.tell({ room: 7, position: "n.3" });
    hub.socket.tell({ room: 8, position: "n.4" });
    hub.socket.tell({ room: 7, gap: { from: "n.3", to: "n.9", events: 6, reason: "retention" } });
    hub.socket.tell("not json");
    expect(frame.mock.calls.map(([, snapshot]) => snapshot)).toEqual([true, false]);
    expect(gap).toHaveBeenCalledWith({ from: "n.3", to: "n.9", events: 6, reason: "retention" });
    expect(connection.bad).toBe(1);
    connection.close();
  });

  it("comes back with back-off and resumes where it was", () => {
    const { hub, connection } = make();
    const resumed = connection.join(events, { frame: () => {} }, { resume: true });
    connection.connect();
    hub.welcome();
    hub.joined(7);
    hub.socket.tell({ room: 7, position: "n.42", events: [] });
    expect(resumed.position).toBe("n.42");
    hub.socket.drop(closeCodes.shutdown);
    expect(connection.state).toMatchObject({ name: "reconnecting", retryAt: Date.now() + 250, code: 4000 });
    vi.advanceTimersByTime(249);
    expect(hub.sockets).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(hub.sockets).toHaveLength(2);
    hub.socket.drop();
    expect(connection.state).toMatchObject({ name: "reconnecting", retryAt: Date.now() + 300 });
    vi.advanceTimersByTime(300);
    hub.welcome();
    expect(hub.socket.last("subscribe").subscribe).toEqual({ ...events, history: 0, from: "n.42" });
    connection.close();
  });

  it("starts again with history where a subscription does not resume", () => {
    const { hub, connection } = make();
    connection.join(events, { frame: () => {} });
    connection.connect();
    hub.welcome();
    hub.joined(7);
    hub.socket.tell({ room: 7, position: "n.42", events: [] });
    hub.socket.drop();
    vi.advanceTimersByTime(250);
    hub.welcome();
    expect(hub.socket.last("subscribe").subscribe).toEqual(events);
    connection.close();
  });

  it("begins the back-off anew after a good connection", () => {
    const { hub, connection } = make();
    connection.connect();
    for (const delay of [250, 500, 1000]) {
      hub.socket.drop();
      vi.advanceTimersByTime(delay);
    }
    hub.welcome();
    for (let second = 0; second < 6; second++) {
      vi.advanceTimersByTime(1000);
      hub.socket.tell({ room: 1, position: "p" });
    }
    hub.socket.drop();
    expect(connection.state).toMatchObject({ retryAt: Date.now() + 250 });
    connection.close();
  });

  it("stays away when the code says: not without a change", () => {
    const { hub, connection } = make();
    connection.connect();
    hub.welcome();
    hub.socket.drop(closeCodes.unauthorized, "who are you");
    expect(connection.state).toEqual({ name: "refused", code: 4501, reason: "who are you" });
    vi.advanceTimersByTime(60_000);
    expect(hub.sockets).toHaveLength(1);
    connection.connect();
    hub.welcome();
    expect(connection.live).toBe(true);
    connection.close();
  });

  it("counts silence: stale, then a ping, then lost", () => {
    const { hub, connection } = make();
    connection.connect();
    hub.welcome();
    vi.advanceTimersByTime(1_500);
    expect(connection.state.name).toBe("live");
    vi.advanceTimersByTime(500);
    expect(connection.state.name).toBe("stale");
    vi.advanceTimersByTime(1_500);
    expect(hub.socket.all("ping")).toHaveLength(1);
    hub.pong();
    expect(connection.state.name).toBe("stale");
    hub.pong();
    hub.pong();
    expect(connection.state.name).toBe("live");
    vi.advanceTimersByTime(9_000);
    expect(connection.state.name).toBe("reconnecting");
    expect(hub.sockets[0].closed).toBe(true);
    connection.close();
  });

  it("is not live after a silence before what piled up has come", () => {
    const { hub, connection } = make();
    connection.join(events, { frame: () => {} });
    connection.connect();
    hub.welcome();
    hub.joined(7);
    vi.advanceTimersByTime(2_500);
    // What was sent during the silence comes before the hub's answer to what is asked after it.
    for (let i = 0; i < 3; i++) hub.socket.tell({ room: 7, position: `n.${i}` });
    expect(connection.state).toEqual({ name: "stale", since: 1_000_000 });
    expect(hub.socket.all("ping")).toHaveLength(1);
    hub.pong();
    // And what the hub had ready with that answer, before the next.
    hub.socket.tell({ room: 7, position: "n.4" });
    expect(connection.state.name).toBe("stale");
    hub.pong();
    expect(connection.live).toBe(true);
    expect(hub.socket.all("ping")).toHaveLength(2);
    connection.close();
  });

  it("begins anew to catch up where the link is lost meanwhile", () => {
    const { hub, connection } = make();
    connection.connect();
    hub.welcome();
    vi.advanceTimersByTime(2_500);
    hub.socket.tell({ room: 7, position: "n.1" });
    hub.socket.drop();
    vi.advanceTimersByTime(1_000);
    hub.welcome();
    expect(connection.live).toBe(true);
    vi.advanceTimersByTime(2_500);
    hub.socket.tell({ room: 7, position: "n.2" });
    expect(hub.socket.all("ping")).toHaveLength(1);
    hub.pong();
    hub.pong();
    expect(connection.live).toBe(true);
    connection.close();
  });

  it("gives up an attempt that is never answered", () => {
    const { hub, connection } = make();
    connection.connect();
    vi.advanceTimersByTime(9_000);
    expect(connection.state.name).toBe("reconnecting");
    expect(hub.sockets[0].closed).toBe(true);
    connection.close();
  });

  it("joins the new room before it leaves the old one", () => {
    const { hub, connection } = make();
    const seen: string[] = [];
    const subscription = connection.join(events, { frame: (frame) => seen.push(frame.position) });
    connection.connect();
    hub.welcome();
    hub.joined(7);
    subscription.replace({ ...events, devices: ["d1"] });
    subscription.replace({ ...events, devices: ["d1"] });
    expect(hub.socket.all("subscribe")).toHaveLength(2);
    hub.socket.tell({ room: 7, position: "n.5" });
    expect(hub.socket.all("unsubscribe")).toHaveLength(0);
    hub.joined(8);
    expect(hub.socket.last("unsubscribe").unsubscribe).toEqual({ room: 7 });
    hub.socket.tell({ room: 7, position: "n.6" });
    hub.socket.tell({ room: 8, position: "n.7" });
    expect(seen).toEqual(["n.5", "n.7"]);
    connection.close();
  });

  it("leaves a room whose answer comes too late", () => {
    const { hub, connection } = make();
    const subscription = connection.join(events, { frame: () => {} });
    connection.connect();
    hub.welcome();
    subscription.close();
    hub.joined(7);
    expect(hub.socket.last("unsubscribe").unsubscribe).toEqual({ room: 7 });

    const quick = connection.join(events, { frame: () => {} });
    const first = hub.socket.last("subscribe").id;
    quick.replace({ ...events, rate: 1 });
    hub.socket.tell({ id: first, subscribed: { room: 8, position: "p", recovered: true } });
    hub.joined(9);
    expect(quick.room).toBe(9);
    expect(hub.socket.all("unsubscribe").map(({ unsubscribe }) => unsubscribe.room)).toEqual([7, 8]);
    connection.close();
  });

  it("does not leave a room that another subscription is about to join", () => {
    const { hub, connection } = make();
    connection.connect();
    hub.welcome();
    const one = connection.join(events, { frame: () => {} });
    hub.joined(7);
    const two = connection.join(events, { frame: () => {} });
    one.close();
    expect(hub.socket.all("unsubscribe")).toHaveLength(0);
    hub.joined(7);
    expect(two.room).toBe(7);
    expect(hub.socket.all("unsubscribe")).toHaveLength(0);
    connection.close();
  });

  it("does not leave a room that it has asked for again meanwhile", () => {
    const { hub, connection } = make();
    const subscription = connection.join(events, { frame: () => {} });
    connection.connect();
    hub.welcome();
    const first = hub.socket.last("subscribe").id;
    subscription.replace({ ...events, rate: 1 });
    const second = hub.socket.last("subscribe").id;
    subscription.replace(events);
    hub.socket.tell({ id: first, subscribed: { room: 7, position: "p", recovered: true } });
    hub.socket.tell({ id: second, subscribed: { room: 8, position: "p", recovered: true } });
    hub.joined(7);
    expect(subscription.room).toBe(7);
    expect(hub.socket.all("unsubscribe").map(({ unsubscribe }) => unsubscribe.room)).toEqual([8]);

    subscription.pause(true);
    subscription.pause(false);
    subscription.pause(true);
    subscription.pause(false);
    const asked = hub.socket
      .all("subscribe")
      .map(({ id }) => id)
      .slice(-2);
    for (const id of asked) hub.socket.tell({ id, subscribed: { room: 7, position: "p", recovered: true } });
    expect(subscription.room).toBe(7);
    expect(hub.socket.all("unsubscribe").map(({ unsubscribe }) => unsubscribe.room)).toEqual([8, 7]);
    connection.close();
  });

  it("leaves a shared room only with its last subscription", () => {
    const { hub, connection } = make();
    connection.connect();
    hub.welcome();
    const one = connection.join(events, { frame: () => {} });
    hub.joined(7);
    const two = connection.join(events, { frame: () => {} });
    hub.joined(7);
    one.close();
    expect(hub.socket.all("unsubscribe")).toHaveLength(0);
    two.close();
    expect(hub.socket.last("unsubscribe").unsubscribe).toEqual({ room: 7 });
    connection.close();
  });

  it("tells a subscription why the hub refused it", () => {
    const { hub, connection } = make();
    const failed = vi.fn();
    connection.join({ ...events, filters: ["a/#/b"] }, { frame: () => {}, failed });
    connection.connect();
    hub.welcome();
    const error = { code: "invalid_filter", message: "no", retry: false };
    hub.socket.tell({ id: hub.socket.last("subscribe").id, error });
    expect(failed).toHaveBeenCalledWith(error);
    connection.close();
  });

  it("publishes with the hub's word for it, and fails what it cannot know", async () => {
    const { hub, connection } = make();
    const message = { topic: "chat/general", payload: { text: "hi" }, qos: 1 as const };
    await expect(connection.publish(message)).rejects.toThrow(CommandError);
    connection.connect();
    hub.welcome();
    const good = connection.publish(message);
    hub.socket.tell({ id: hub.socket.last("publish").id, published: { position: "n.8" } });
    await expect(good).resolves.toBe("n.8");
    const refused = connection.publish(message);
    hub.socket.tell({
      id: hub.socket.last("publish").id,
      error: { code: "unavailable", message: "log full", retry: true },
    });
    await expect(refused).rejects.toMatchObject({ code: "unavailable", retry: true });
    const unknown = connection.publish(message);
    hub.socket.drop();
    await expect(unknown).rejects.toMatchObject({ code: "disconnected" });
    connection.close();
  });

  it("ignores what an abandoned socket still says", () => {
    const { hub, connection } = make();
    connection.connect();
    const old = hub.welcome();
    const late = old.onclose;
    connection.connect();
    hub.welcome();
    late?.({ code: 1006, reason: "" });
    expect(connection.live).toBe(true);
    connection.close();
  });
});
