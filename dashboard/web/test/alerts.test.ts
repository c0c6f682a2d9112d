import { expect, it } from "vitest";
import { Frames } from "../src/core/frame";
import { alertLimit, alertsOf, kinds } from "../src/core/state/alerts";
import { DeviceStore, statuses } from "../src/core/state/devices";
import type { Hub } from "../src/core/wire/types";
import { deviceOf, frameOf } from "./frames";

const now = 10_000_000;
const browser = { losses: [], offset: 0 };
/** What the hub says of itself, as far as alerts look at it. */
const calm = { started: 1, drops: [], gaps: 0, refused: [], missed: [], problems: [] } as unknown as Hub;

function store(count: number, draw: (index: number) => { status: number; time: number; undecodable: number }) {
  const devices = new DeviceStore(new Frames((run) => run()));
  const rows = Array.from({ length: count }, (_, i) => draw(i));
  devices.apply(
    frameOf({
      devices: rows.map((_, i) => deviceOf(i, `d${i}`)),
      status: rows.map(({ status, time, undecodable }, i) => {
        return { device: i, status: statuses[status], time, undecodable, rate: 1, events: 1, interval: 1, value: 1 };
      }),
    }),
    true,
  );
  return { devices, rows };
}

it("lists each device that is silent or not understood, the gravest first, whatever devices there are", () => {
  for (let round = 0; round < 50; round++) {
    const random = (below: number) => Math.floor(Math.random() * below);
    const { devices, rows } = store(random(300), () => ({
      status: random(3),
      time: random(now),
      undecodable: Math.max(0, random(6) - 3),
    }));
    const { rows: alerts, counts } = alertsOf(calm, devices, browser, now);
    expect(counts.silent).toBe(rows.filter(({ status }) => status > 0).length);
    expect(counts.undecodable).toBe(rows.filter(({ undecodable }) => undecodable > 0).length);
    expect(alerts.length).toBe(counts.silent + counts.undecodable);
    const times = alerts.filter(({ kind }) => kind === "silent").map(({ since }) => since);
    expect(times).toEqual([...times].sort((a, b) => b - a));
    const ranks = alerts.map(({ kind }) => kinds.indexOf(kind));
    expect(ranks).toEqual([...ranks].sort((a, b) => a - b));
    expect(new Set(alerts.map(({ kind, key }) => kind + key)).size).toBe(alerts.length);
  }
});

it("counts what it does not list", () => {
  const { devices } = store(alertLimit + 5, (i) => ({ status: 2, time: i, undecodable: 0 }));
  const { rows, counts } = alertsOf(calm, devices, browser, now);
  expect([rows.length, counts.silent]).toEqual([alertLimit, alertLimit + 5]);
  expect(rows[0]).toMatchObject({ kind: "silent", device: `d${alertLimit + 4}`, status: "offline" });
});

it("begins with the hub's own troubles, and forgets refused connections after an hour", () => {
  const { devices } = store(1, () => ({ status: 1, time: 5, undecodable: 0 }));
  const refusal = (time: number) => ({ time, remote: "127.0.0.1:1", client: "c", reason: "too many" });
  const hub: Hub = {
    ...calm,
    gaps: 2,
    drops: [
      ["queue_full", 3],
      ["never", 0],
    ],
    refused: [refusal(now - 1), refusal(now - 3_600_001)],
    missed: [{ time: 7, client: "pump-7", from: "a.1", to: "a.9", events: 8, reason: "retention" }],
    problems: [{ since: 3, kind: "log_full", text: "no space left" }],
  };
  const losses = [{ kind: "bad", count: 2, since: 1, last: 2 } as const];
  const { rows, counts, total } = alertsOf(hub, devices, { losses, offset: -3_000 }, now);
  expect(total).toBe(rows.length);
  expect(rows.map(({ kind }) => kind)).toEqual([
    "hub",
    "missed",
    "dropped",
    "dropped",
    "lost",
    "clock",
    "refused",
    "silent",
  ]);
  expect(counts).toEqual({
    ...{ hub: 1, missed: 1, dropped: 2, lost: 1, clock: 1 },
    ...{ refused: 1, silent: 1, undecodable: 0 },
  });
  expect(alertsOf(undefined, devices, browser, now).rows.length).toBe(1);
});
