import type { Reader } from "./protobuf";
import { read, type Schema, schemaOf } from "./schema";
import type * as wire from "./types";

// The messages of the forms devices, topics, hub and chat. Each function reads the message that the reader's field is.

const unknown = Number.NaN;

const series = schemaOf<wire.Series>("Series", "series:uint32 device:string name:string unit:string topic:string");

export const readSeries = (r: Reader) => read(r, series);

const device = schemaOf<wire.Device>(
  "Device",
  "device:uint32 id:string kind:string name:string first:int64 - client:string",
);

export function readDevice(r: Reader): wire.Device {
  return read(r, device, { ...device.blank, topics: [], metrics: [], texts: [] }, ({ topics, metrics, texts }) => {
    if (r.field === 6) topics.push(r.string());
    else if (r.field === 8) metrics.push(readSeries(r));
    else if (r.field === 9) texts.push(readPair(r, "Text"));
    else r.skip();
  });
}

/** readPair reads a message of two texts. */
function readPair(r: Reader, name: string): [string, string] {
  r.open(name);
  const pair: [string, string] = ["", ""];
  while (r.next()) {
    if (r.field === 1) pair[0] = r.string();
    else if (r.field === 2) pair[1] = r.string();
    else r.skip();
  }
  return pair;
}

/** readStatus returns undefined for a status that is not known. Of these there are many: read by hand they take half as long. */
export function readStatus(r: Reader): wire.DeviceStatus | undefined {
  r.open("DeviceStatus");
  let word = "";
  const row = { device: 0, time: 0, rate: 0, events: 0, interval: 0, value: unknown, undecodable: 0 };
  while (r.next()) {
    if (r.field === 1) row.device = r.uint32();
    else if (r.field === 2) word = r.string();
    else if (r.field === 3) row.time = r.int64();
    else if (r.field === 4) row.rate = r.double();
    else if (r.field === 5) row.events = r.uint64();
    else if (r.field === 6) row.interval = r.int64();
    else if (r.field === 7) row.value = r.double();
    else if (r.field === 8) row.undecodable = r.uint64();
    else r.skip();
  }
  if (word !== "online" && word !== "stale" && word !== "offline") return undefined;
  return { ...row, status: word };
}

const topic = schemaOf<wire.Topic>("Topic", "topic:uint32 name:string device:string");

export const readTopic = (r: Reader) => read(r, topic);

const activity = schemaOf<wire.TopicActivity>(
  "TopicActivity",
  "topic:uint32 time:int64 events:uint64 rate:double bytes:uint32 preview:string",
);

export const readTopicActivity = (r: Reader) => read(r, activity);

const hub = schemaOf<wire.Hub>(
  "Hub",
  "time:int64 started:int64 version:string - connections:uint64 screens:uint64 eventsPerSecond:double " +
    "bytesPerSecond:double framesPerSecond:double - undecodable:uint64 - gaps:uint64 - - - - - sessions:uint64 behind:uint64",
);
const deviceCounts = schemaOf<wire.Hub["devices"]>(
  "DeviceCounts",
  "total:uint64 online:uint64 stale:uint64 offline:uint64",
);
const log = schemaOf<wire.Hub["log"]>("Log", "events:uint64 bytes:uint64 - - durable:string");
const refusal = schemaOf<wire.Refusal>("Refusal", "time:int64 remote:string client:string reason:string");
const missed = schemaOf<wire.Missed>(
  "Missed",
  "time:int64 client:string from:string to:string events:uint64 reason:string",
);
const problem = schemaOf<wire.Problem>("Problem", "since:int64 kind:string text:string");

export function readHub(r: Reader): wire.Hub {
  const into: wire.Hub = {
    ...hub.blank,
    devices: { ...deviceCounts.blank },
    latency: noLatency(),
    drops: [],
    log: { ...log.blank },
    refused: [],
    missed: [],
    problems: [],
    addresses: { mqtt: "", http: "" },
    history: [],
  };
  return read(r, hub, into, () => {
    if (r.field === 4) into.devices = read(r, deviceCounts);
    else if (r.field === 10) into.latency = readLatency(r);
    else if (r.field === 12) into.drops.push(readCount(r));
    else if (r.field === 14) into.log = read(r, log);
    else if (r.field === 15) into.refused.push(read(r, refusal));
    else if (r.field === 16) {
      const [mqtt, http] = readPair(r, "Addresses");
      into.addresses = { mqtt, http };
    } else if (r.field === 17) into.history.push(readHubSecond(r));
    else if (r.field === 18) into.missed.push(read(r, missed));
    else if (r.field === 21) into.problems.push(read(r, problem));
    else r.skip();
  });
}

function readHubSecond(r: Reader): wire.HubSecond {
  r.open("HubSecond");
  const row = [0, 0, unknown, unknown, 0, 0, 0, unknown, unknown, unknown, unknown];
  while (r.next()) {
    if (r.field === 1) row[0] = r.int64();
    else if (r.field <= 4 || (r.field >= 8 && r.field <= 11)) row[r.field - 1] = r.double();
    else if (r.field <= 7) row[r.field - 1] = r.uint64();
    else r.skip();
  }
  return row;
}

const percentiles = "p50:double? p99:double?";
const latency = schemaOf<wire.Hub["latency"]>("Latency", percentiles);
const deviceLatency = schemaOf<wire.Percentiles>("DeviceLatency", percentiles);
const screenLatency = schemaOf<wire.Hub["latency"]["screen"]>("ScreenLatency", `${percentiles} screens:uint32`);

function noLatency(): wire.Hub["latency"] {
  return { ...latency.blank, device: { ...deviceLatency.blank }, screen: { ...screenLatency.blank } };
}

function readLatency(r: Reader): wire.Hub["latency"] {
  return read(r, latency, noLatency(), (into) => {
    if (r.field === 3) into.device = read(r, deviceLatency);
    else if (r.field === 4) into.screen = read(r, screenLatency);
    else r.skip();
  });
}

function readCount(r: Reader): [string, number] {
  r.open("Count");
  const count: [string, number] = ["", 0];
  while (r.next()) {
    if (r.field === 1) count[0] = r.string();
    else if (r.field === 2) count[1] = r.uint64();
    else r.skip();
  }
  return count;
}

const chatMessage = schemaOf<wire.ChatMessage>(
  "ChatMessage",
  "position:string channel:string from:string text:string time:int64 source:string",
);
const presence: Schema<wire.Presence> = schemaOf("ChatPresence", "channel:string");

export function readChat(r: Reader): wire.Chat {
  r.open("Chat");
  const chat: wire.Chat = { channels: [], messages: [], present: [] };
  while (r.next()) {
    if (r.field === 1) chat.channels.push(r.string());
    else if (r.field === 2) chat.messages.push(read(r, chatMessage));
    else if (r.field === 3) chat.present.push(readPresence(r));
    else r.skip();
  }
  return chat;
}

function readPresence(r: Reader): wire.Presence {
  return read(r, presence, { channel: "", members: [] }, ({ members }) => {
    if (r.field !== 2) {
      r.skip();
      return;
    }
    const [name, kind] = readPair(r, "Member");
    members.push({ name, kind });
  });
}
