import { Store } from "../frame";
import type { Device, Frame, Status } from "../wire/types";

/** Devices beyond this are counted, not kept. */
export const deviceLimit = 50_000;

export const statuses: readonly Status[] = ["online", "stale", "offline"];

/** Columns are the live figures, one entry a device, in typed arrays: ten thousand devices cost no objects. */
export interface Columns {
  /** status is an index into `statuses`. */
  status: Uint8Array;
  /** time of the newest message, ms; NaN while unknown. */
  time: Float64Array;
  /** rate in messages a second. */
  rate: Float64Array;
  /** events counts the device's messages. */
  events: Float64Array;
  /** interval is the usual time between two messages in ms; 0 while unknown. */
  interval: Float64Array;
  /** value of the first metric; NaN where there is none. */
  value: Float64Array;
  /** undecodable counts its messages that no decoder understood. */
  undecodable: Float64Array;
}

const unknownStatus = 255;

/** DeviceStore is every known device and its presence. Indexes stay valid within an `epoch`. */
export class DeviceStore extends Store {
  #devices: Device[] = [];
  #live = columns(256);
  #frozen: Columns | undefined;
  #frozenCount = 0;
  #byId = new Map<string, number>();
  #byNumber = new Map<number, number>();
  #loaded = false;
  #generation = 0;
  #epoch = 0;
  #events = 0;
  #refused = 0;

  /** loaded reports that a snapshot has come: an empty list then means that there are none. */
  get loaded(): boolean {
    return this.#loaded;
  }

  /** generation changes when devices are added, renamed or replaced: lists must be sorted and filtered again. */
  get generation(): number {
    return this.#generation;
  }

  /** epoch changes when indexes mean other devices than before. */
  get epoch(): number {
    return this.#epoch;
  }

  /** count of devices on the screen: while frozen, those there were. */
  get count(): number {
    return this.#frozen === undefined ? this.#devices.length : this.#frozenCount;
  }

  /** events counts the messages of all devices, also while frozen. */
  get events(): number {
    return this.#events;
  }

  /** refused counts devices beyond the limit. */
  get refused(): number {
    return this.#refused;
  }

  /** columns are the figures to show. */
  get columns(): Columns {
    return this.#frozen ?? this.#live;
  }

  device(index: number): Device {
    return this.#devices[index];
  }

  indexOf(id: string): number {
    return this.#byId.get(id) ?? -1;
  }

  status(index: number): Status | undefined {
    return statuses[this.columns.status[index]];
  }

  /** freeze keeps the figures on the screen as they are while the live ones go on. */
  freeze(frozen: boolean): void {
    if (frozen === (this.#frozen !== undefined)) return;
    this.#frozenCount = this.#devices.length;
    this.#frozen = frozen ? copyColumns(this.#live, this.#devices.length) : undefined;
    this.#generation++;
    this.changed();
  }

  apply(frame: Frame, snapshot: boolean): void {
    if (snapshot) this.#replace(frame);
    if (frame.removed.length > 0) this.#remove(frame.removed);
    for (const device of frame.devices) this.#announce(device);
    for (const row of frame.status) {
      const index = this.#byNumber.get(row.device);
      if (index === undefined) continue;
      const live = this.#live;
      const before = live.events[index];
      if (row.events > before) this.#events += row.events - before;
      live.status[index] = statuses.indexOf(row.status);
      live.time[index] = row.time;
      live.rate[index] = row.rate;
      live.events[index] = row.events;
      live.interval[index] = row.interval;
      live.value[index] = row.value;
      live.undecodable[index] = row.undecodable;
    }
    this.changed();
  }

  /** replace begins anew with a snapshot: a device that the hub has forgotten goes, the others stay as they are. */
  #replace(frame: Frame): void {
    this.#loaded = true;
    this.#byNumber.clear();
    const named = new Set(frame.devices.map((device) => device.id));
    this.#keep((index) => named.has(this.#devices[index].id));
  }

  /** remove forgets the devices with these numbers. */
  #remove(numbers: number[]): void {
    const gone = new Set<number>();
    for (const number of numbers) {
      const index = this.#byNumber.get(number);
      if (index !== undefined) gone.add(index);
    }
    this.#keep((index) => !gone.has(index));
  }

  /** keep forgets all devices but some, frozen or not: what is deleted is gone. */
  #keep(kept: (index: number) => boolean): void {
    const from = this.#devices.map((_, index) => index).filter(kept);
    if (from.length === this.#devices.length) return;
    this.#live = pickColumns(this.#live, from);
    if (this.#frozen !== undefined) {
      const frozen = from.filter((index) => index < this.#frozenCount);
      this.#frozen = pickColumns(this.#frozen, frozen);
      this.#frozenCount = frozen.length;
    }
    this.#devices = from.map((index) => this.#devices[index]);
    this.#byId = new Map(this.#devices.map((device, index) => [device.id, index]));
    const to = new Map(from.map((index, at) => [index, at]));
    for (const [number, index] of this.#byNumber) {
      const at = to.get(index);
      if (at === undefined) this.#byNumber.delete(number);
      else this.#byNumber.set(number, at);
    }
    this.#epoch++;
    this.#generation++;
  }

  #announce(device: Device): void {
    let index = this.#byId.get(device.id);
    if (index === undefined) {
      if (this.#devices.length >= deviceLimit) {
        this.#refused++;
        return;
      }
      index = this.#devices.length;
      if (index >= this.#live.status.length) this.#live = copyColumns(this.#live, 2 * index);
      this.#byId.set(device.id, index);
      this.#generation++;
    } else if (device.name !== this.#devices[index].name || device.kind !== this.#devices[index].kind) {
      this.#generation++;
    }
    this.#devices[index] = device;
    this.#byNumber.set(device.device, index);
  }
}

const columnNames = ["status", "time", "rate", "events", "interval", "value", "undecodable"] as const;

function columns(length: number): Columns {
  const unknown = () => new Float64Array(length).fill(Number.NaN);
  return {
    status: new Uint8Array(length).fill(unknownStatus),
    time: unknown(),
    rate: unknown(),
    events: new Float64Array(length),
    interval: new Float64Array(length),
    value: unknown(),
    undecodable: new Float64Array(length),
  };
}

function copyColumns(from: Columns, length: number): Columns {
  const to = columns(length);
  for (const name of columnNames) to[name].set(from[name].subarray(0, length));
  return to;
}

/** pickColumns takes the entries with these indexes, in this order. */
function pickColumns(from: Columns, indexes: number[]): Columns {
  const to = columns(Math.max(256, indexes.length));
  for (const name of columnNames) {
    indexes.forEach((index, at) => {
      to[name][at] = from[name][index];
    });
  }
  return to;
}
