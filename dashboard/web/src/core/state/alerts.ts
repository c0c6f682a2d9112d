import type { Hub, Missed, Problem, Refusal, Status } from "../wire/types";
import type { DeviceStore } from "./devices";
import { statuses } from "./devices";
import type { LossRow } from "./losses";

/** kinds begin with the gravest: the hub's own troubles, what was lost, and then what a device or a person can put right. */
export const kinds = ["hub", "missed", "dropped", "lost", "clock", "refused", "silent", "undecodable"] as const;
export type AlertKind = (typeof kinds)[number];

/** Alert is one thing that needs attention; since is when it began, by the hub's clock, ms; NaN where nobody can tell. */
export type Alert = { key: string; since: number } & (
  | { kind: "hub"; problem: Problem }
  | { kind: "silent"; device: string; name: string; status: Status | undefined }
  | { kind: "undecodable"; device: string; name: string; count: number }
  | { kind: "refused"; refusal: Refusal }
  | { kind: "missed"; missed: Missed }
  | { kind: "dropped"; reason: string; count: number }
  | { kind: "lost"; loss: LossRow }
  | { kind: "clock"; offset: number }
);

export interface Alerts {
  /** rows are in the order of kinds, and then the newest first. Devices that are not understood keep their places. */
  rows: Alert[];
  /** total is all there are, also those beyond the limit. */
  total: number;
  /** counts are of all, also of those beyond the limit. */
  counts: Record<AlertKind, number>;
}

/** Devices beyond this are counted, not listed. */
export const alertLimit = 1_000;

/** A connection that was refused needs attention for so long, ms: a device that is refused tries again. */
const refusedFor = 3_600_000;

/** Clocks that differ by more than this are told of, ms. */
export const clockSlack = 2_000;

/** Browser is what only this one knows: what it lost, and by how much the hub's clock is ahead of its own, ms. */
export interface Browser {
  losses: readonly LossRow[];
  offset: number;
}

/** alertsOf lists what needs attention. It looks at each device once, and makes objects of those only that it lists. */
export function alertsOf(hub: Hub | undefined, devices: DeviceStore, { losses, offset }: Browser, now: number): Alerts {
  const { status, time, undecodable } = devices.columns;
  const silent: number[] = [];
  const odd: number[] = [];
  for (let i = 0; i < devices.count; i++) {
    if (statuses[status[i]] === "stale" || statuses[status[i]] === "offline") silent.push(i);
    if (undecodable[i] > 0) odd.push(i);
  }
  const id = (index: number) => devices.device(index).id;
  const named = (index: number) => ({ device: id(index), name: devices.device(index).name || id(index) });
  const drops = (hub?.drops ?? []).filter(([, count]) => count > 0);
  if (hub !== undefined && hub.gaps > 0) drops.push(["gaps", hub.gaps]);
  const started = hub?.started ?? Number.NaN;
  const lists: { [K in AlertKind]: (Alert & { kind: K })[] } = {
    hub: (hub?.problems ?? []).map((problem) => {
      return { kind: "hub", key: `${problem.kind} ${problem.text}`, since: problem.since, problem };
    }),
    missed: (hub?.missed ?? []).map((missed, i) => {
      return { kind: "missed", key: `${missed.time} ${i}`, since: missed.time, missed };
    }),
    dropped: drops.map(([reason, count]) => ({ kind: "dropped", key: reason, since: started, reason, count })),
    lost: losses.map((loss) => ({ kind: "lost", key: loss.kind, since: loss.since, loss })),
    clock: Math.abs(offset) > clockSlack ? [{ kind: "clock", key: "", since: Number.NaN, offset }] : [],
    refused: (hub?.refused ?? [])
      .filter((one) => now - one.time < refusedFor)
      .map((refusal, i) => ({ kind: "refused", key: `${refusal.time} ${i}`, since: refusal.time, refusal })),
    silent: silent
      .sort((a, b) => time[b] - time[a])
      .slice(0, alertLimit)
      .map((i) => ({ kind: "silent", key: id(i), status: devices.status(i), since: time[i], ...named(i) })),
    undecodable: odd.slice(0, alertLimit).map((i) => {
      return { kind: "undecodable", key: id(i), count: undecodable[i], since: Number.NaN, ...named(i) };
    }),
  };
  const counts = Object.fromEntries(kinds.map((kind) => [kind, lists[kind].length])) as Record<AlertKind, number>;
  counts.silent = silent.length;
  counts.undecodable = odd.length;
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { rows: kinds.flatMap((kind): Alert[] => lists[kind]), counts, total };
}
