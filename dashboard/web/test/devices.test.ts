import { describe, expect, it } from "vitest";
import { Frames } from "../src/core/frame";
import { Directory, type Selection, totals } from "../src/core/select";
import { DeviceStore } from "../src/core/state/devices";
import type { DeviceStatus, Status } from "../src/core/wire/types";
import { deviceOf, frameOf } from "./frames";

const status = (device: number, state: Status, part: Partial<DeviceStatus> = {}): DeviceStatus => ({
  device,
  status: state,
  time: 1000,
  rate: 1,
  events: 1,
  interval: 1000,
  value: 20,
  undecodable: 0,
  ...part,
});
const any: Selection = { text: "", status: "", kind: "", sort: "name", descending: false };

function store() {
  const devices = new DeviceStore(new Frames((run) => run()));
  devices.apply(
    frameOf({
      devices: [
        deviceOf(1, "pump-10", { kind: "pump" }),
        deviceOf(2, "pump-9", { kind: "pump", name: "Zulu" }),
        deviceOf(3, "fridge", { kind: "coldchain", name: "alpha" }),
      ],
      status: [
        status(1, "online", { value: 5 }),
        status(2, "offline", { value: Number.NaN, time: 10 }),
        status(3, "stale", { value: 7, time: 500 }),
      ],
    }),
    true,
  );
  const directory = new Directory(devices);
  const ids = (selection: Partial<Selection>) =>
    directory.select({ ...any, ...selection }).map((index) => devices.device(index).id);
  return { devices, ids };
}

describe("DeviceStore", () => {
  it("knows nothing before its first snapshot, and unknown figures are NaN", () => {
    const devices = new DeviceStore(new Frames((run) => run()));
    expect(devices.loaded).toBe(false);
    devices.apply(frameOf({ devices: [deviceOf(1, "a")] }), true);
    expect(devices.loaded).toBe(true);
    expect(devices.status(0)).toBeUndefined();
    expect(devices.columns.value[0]).toBeNaN();
    expect(devices.columns.time[0]).toBeNaN();
  });

  it("forgets a device that was removed, also while frozen, and takes it again under another number", () => {
    const { devices } = store();
    const { epoch } = devices;
    devices.freeze(true);
    devices.apply(frameOf({ removed: [1, 99], status: [status(3, "stale", { value: 8 })] }), false);
    expect(devices.epoch).toBeGreaterThan(epoch);
    expect(devices.count).toBe(2);
    expect(devices.indexOf("pump-10")).toBe(-1);
    expect(devices.columns.value[devices.indexOf("fridge")]).toBe(7);
    devices.freeze(false);
    expect(devices.columns.value[devices.indexOf("fridge")]).toBe(8);
    expect(devices.status(devices.indexOf("pump-9"))).toBe("offline");
    devices.apply(frameOf({ devices: [deviceOf(4, "pump-10")], status: [status(4, "online", { value: 1 })] }), false);
    expect(devices.columns.value[devices.indexOf("pump-10")]).toBe(1);
    devices.apply(frameOf({ removed: [4], devices: [deviceOf(5, "pump-10")] }), false);
    expect(devices.count).toBe(3);
    expect(devices.columns.value[devices.indexOf("pump-10")]).toBeNaN();
  });

  it("grows beyond its first columns and keeps every figure", () => {
    const devices = new DeviceStore(new Frames((run) => run()));
    devices.apply(frameOf({}), true);
    for (let i = 0; i < 2000; i++) {
      devices.apply(frameOf({ devices: [deviceOf(i, `d${i}`)], status: [status(i, "online", { value: i })] }), false);
    }
    expect(devices.count).toBe(2000);
    expect(devices.columns.value[0]).toBe(0);
    expect(devices.columns.value[1999]).toBe(1999);
    expect(totals(devices).online).toBe(2000);
  });

  it("ignores the status of a device that was not announced", () => {
    const { devices } = store();
    devices.apply(frameOf({ status: [status(99, "online")] }), false);
    expect(devices.count).toBe(3);
  });

  it("follows devices through a hub that numbers them anew and has forgotten one", () => {
    const { devices, ids } = store();
    const before = devices.epoch;
    devices.apply(
      frameOf({
        devices: [deviceOf(1, "fridge"), deviceOf(2, "new")],
        status: [status(1, "online", { value: 8 }), status(2, "online", { value: 9 })],
      }),
      true,
    );
    expect(devices.epoch).not.toBe(before);
    expect(ids({})).toEqual(["fridge", "new"]);
    expect(devices.columns.value[devices.indexOf("fridge")]).toBe(8);
    expect(devices.columns.value[devices.indexOf("new")]).toBe(9);
    expect(devices.indexOf("pump-9")).toBe(-1);
  });

  it("shows a pause as it was while figures, devices and events go on", () => {
    const { devices } = store();
    const before = devices.events;
    devices.freeze(true);
    devices.apply(
      frameOf({
        devices: [deviceOf(4, "late")],
        status: [status(1, "offline", { value: 6, events: 11 }), status(4, "online", { events: 5 })],
      }),
      false,
    );
    expect(devices.count).toBe(3);
    expect(devices.columns.value[0]).toBe(5);
    expect(devices.status(0)).toBe("online");
    expect(devices.events - before).toBe(15);
    devices.freeze(false);
    expect(devices.count).toBe(4);
    expect(devices.columns.value[0]).toBe(6);
    expect(devices.status(0)).toBe("offline");
  });
});

describe("Directory", () => {
  it("sorts names as people do, and what is unknown last in both directions", () => {
    const { ids } = store();
    expect(ids({})).toEqual(["fridge", "pump-10", "pump-9"]);
    expect(ids({ descending: true })).toEqual(["pump-9", "pump-10", "fridge"]);
    expect(ids({ sort: "value" })).toEqual(["pump-10", "fridge", "pump-9"]);
    expect(ids({ sort: "value", descending: true })).toEqual(["fridge", "pump-10", "pump-9"]);
    expect(ids({ sort: "age" })).toEqual(["pump-10", "fridge", "pump-9"]);
    expect(ids({ sort: "status" })).toEqual(["pump-10", "fridge", "pump-9"]);
  });

  it("filters by text in name, id or kind, by status and by kind", () => {
    const { devices, ids } = store();
    expect(ids({ text: " PUMP " })).toEqual(["pump-10", "pump-9"]);
    expect(ids({ text: "zulu" })).toEqual(["pump-9"]);
    expect(ids({ text: "cold" })).toEqual(["fridge"]);
    expect(ids({ status: "stale" })).toEqual(["fridge"]);
    expect(ids({ kind: "pump", status: "online" })).toEqual(["pump-10"]);
    expect(ids({ status: "alerting" })).toEqual(["fridge", "pump-9"]);
    expect(totals(devices).alerting).toBe(2);
    devices.apply(frameOf({ status: [status(1, "online", { undecodable: 1 })] }), false);
    expect(ids({ status: "alerting" })).toEqual(["fridge", "pump-10", "pump-9"]);
    expect(totals(devices).alerting).toBe(3);
    expect(ids({ text: "nothing" })).toEqual([]);
  });

  it("learns new devices and new names", () => {
    const { devices, ids } = store();
    ids({});
    devices.apply(frameOf({ devices: [deviceOf(4, "later", { name: "aardvark" })] }), false);
    expect(ids({})[0]).toBe("later");
    devices.apply(frameOf({ devices: [deviceOf(4, "later", { name: "zzz" })] }), false);
    expect(ids({}).at(-1)).toBe("later");
  });
});
