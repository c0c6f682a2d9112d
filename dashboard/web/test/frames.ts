import type { Device, Frame } from "../src/core/wire/types";

/** frameOf is a frame with nothing in it but what a test says. */
export function frameOf(part: Partial<Frame>): Frame {
  return {
    position: "n.1",
    events: [],
    series: [],
    values: [],
    removed: [],
    devices: [],
    status: [],
    topics: [],
    activity: [],
    hub: undefined,
    chat: undefined,
    truncated: false,
    arrived: 0,
    ...part,
  };
}

export function deviceOf(device: number, id: string, part: Partial<Device> = {}): Device {
  return { device, id, kind: "", name: "", first: 0, topics: [], client: "", metrics: [], texts: [], ...part };
}
