import type { Reader } from "./protobuf";
import type * as wire from "./types";

// The messages of the forms devices, topics, hub and chat. Each function reads the message that the reader's field is.

export function readSeries(r: Reader): wire.Series {
  r.open("Series");
  const series = { series: 0, device: "", name: "", unit: "", topic: "" };
  while (r.next()) {
    if (r.field === 1) series.series = r.uint32();
    else if (r.field === 2) series.device = r.string();
    else if (r.field === 3) series.name = r.string();
    else if (r.field === 4) series.unit = r.string();
    else if (r.field === 5) series.topic = r.string();
    else r.skip();
  }
  return series;
}

export function readDevice(r: Reader): wire.Device {
  r.open("Device");
  const device: wire.Device = {
    device: 0,
    id: "",
    kind: "",
    name: "",
    first: 0,
    topics: [],
    client: "",
    metrics: [],
    texts: [],
  };
  while (r.next()) {
    if (r.field === 1) device.device = r.uint32();
    else if (r.field === 2) device.id = r.string();
    else if (r.field === 3) device.kind = r.string();
    else if (r.field === 4) device.name = r.string();
    else if (r.field === 5) device.first = r.int64();
    else if (r.field === 6) device.topics.push(r.string());
    else if (r.field === 7) device.client = r.string();
    else if (r.field === 8) device.metrics.push(readSeries(r));
    else if (r.field === 9) device.texts.push(readPair(r, "Text"));
    else r.skip();
  }
  return device;
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

/** readStatus returns undefined for a status that is not known. */
export function readStatus(r: Reader): wire.DeviceStatus | undefined {
  r.open("DeviceStatus");
  let word = "";
  const row = { device: 0, time: 0, rate: 0, events: 0, interval: 0, value: Number.NaN, undecodable: 0 };
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

export function readTopic(r: Reader): wire.Topic {
  r.open("Topic");
  const topic = { topic: 0, name: "", device: "" };
  while (r.next()) {
    if (r.field === 1) topic.topic = r.uint32();
    else if (r.field === 2) topic.name = r.string();
    else if (r.field === 3) topic.device = r.string();
    else r.skip();
  }
  return topic;
}

export function readTopicActivity(r: Reader): wire.TopicActivity {
  r.open("TopicActivity");
  const activity = { topic: 0, time: 0, events: 0, rate: 0, bytes: 0, preview: "" };
  while (r.next()) {
    if (r.field === 1) activity.topic = r.uint32();
    else if (r.field === 2) activity.time = r.int64();
    else if (r.field === 3) activity.events = r.uint64();
    else if (r.field === 4) activity.rate = r.double();
    else if (r.field === 5) activity.bytes = r.uint32();
    else if (r.field === 6) activity.preview = r.string();
    else r.skip();
  }
  return activity;
}

const unknown = Number.NaN;

export function readHub(r: Reader): wire.Hub {
  r.open("Hub");
  const hub: wire.Hub = {
    time: 0,
    started: 0,
    version: "",
    devices: { total: 0, online: 0, stale: 0, offline: 0 },
    connections: 0,
    screens: 0,
    eventsPerSecond: 0,
    bytesPerSecond: 0,
    framesPerSecond: 0,
    latency: { p50: unknown, p99: unknown },
    undecodable: 0,
    drops: [],
    gaps: 0,
    log: { events: 0, bytes: 0, durable: "" },
    refused: [],
    missed: [],
    sessions: 0,
    behind: 0,
    problems: [],
    addresses: { mqtt: "", http: "" },
    history: [],
  };
  while (r.next()) {
    if (r.field === 1) hub.time = r.int64();
    else if (r.field === 2) hub.started = r.int64();
    else if (r.field === 3) hub.version = r.string();
    else if (r.field === 4) hub.devices = readDeviceCounts(r);
    else if (r.field === 5) hub.connections = r.uint64();
    else if (r.field === 6) hub.screens = r.uint64();
    else if (r.field === 7) hub.eventsPerSecond = r.double();
    else if (r.field === 8) hub.bytesPerSecond = r.double();
    else if (r.field === 9) hub.framesPerSecond = r.double();
    else if (r.field === 10) hub.latency = readLatency(r);
    else if (r.field === 11) hub.undecodable = r.uint64();
    else if (r.field === 12) hub.drops.push(readCount(r));
    else if (r.field === 13) hub.gaps = r.uint64();
    else if (r.field === 14) hub.log = readLog(r);
    else if (r.field === 15) hub.refused.push(readRefusal(r));
    else readHubLater(r, hub);
  }
  return hub;
}

/** readHubLater reads the fields of a Hub from 16 on. */
function readHubLater(r: Reader, hub: wire.Hub): void {
  if (r.field === 16) {
    const [mqtt, http] = readPair(r, "Addresses");
    hub.addresses = { mqtt, http };
  } else if (r.field === 17) hub.history.push(readHubSecond(r));
  else if (r.field === 18) hub.missed.push(readMissed(r));
  else if (r.field === 19) hub.sessions = r.uint64();
  else if (r.field === 20) hub.behind = r.uint64();
  else if (r.field === 21) hub.problems.push(readProblem(r));
  else r.skip();
}

function readHubSecond(r: Reader): wire.HubSecond {
  r.open("HubSecond");
  const row = [0, 0, unknown, unknown, 0, 0, 0];
  while (r.next()) {
    if (r.field === 1) row[0] = r.int64();
    else if (r.field <= 4) row[r.field - 1] = r.double();
    else if (r.field <= 7) row[r.field - 1] = r.uint64();
    else r.skip();
  }
  return row;
}

function readDeviceCounts(r: Reader): wire.Hub["devices"] {
  r.open("DeviceCounts");
  const counts = { total: 0, online: 0, stale: 0, offline: 0 };
  while (r.next()) {
    if (r.field === 1) counts.total = r.uint64();
    else if (r.field === 2) counts.online = r.uint64();
    else if (r.field === 3) counts.stale = r.uint64();
    else if (r.field === 4) counts.offline = r.uint64();
    else r.skip();
  }
  return counts;
}

function readLatency(r: Reader): wire.Hub["latency"] {
  r.open("Latency");
  const latency = { p50: unknown, p99: unknown };
  while (r.next()) {
    if (r.field === 1) latency.p50 = r.double();
    else if (r.field === 2) latency.p99 = r.double();
    else r.skip();
  }
  return latency;
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

function readLog(r: Reader): wire.Hub["log"] {
  r.open("Log");
  const log = { events: 0, bytes: 0, durable: "" };
  while (r.next()) {
    if (r.field === 1) log.events = r.uint64();
    else if (r.field === 2) log.bytes = r.uint64();
    else if (r.field === 5) log.durable = r.string();
    else r.skip();
  }
  return log;
}

function readRefusal(r: Reader): wire.Refusal {
  r.open("Refusal");
  const refusal = { time: 0, remote: "", client: "", reason: "" };
  while (r.next()) {
    if (r.field === 1) refusal.time = r.int64();
    else if (r.field === 2) refusal.remote = r.string();
    else if (r.field === 3) refusal.client = r.string();
    else if (r.field === 4) refusal.reason = r.string();
    else r.skip();
  }
  return refusal;
}

function readMissed(r: Reader): wire.Missed {
  r.open("Missed");
  const missed = { time: 0, client: "", from: "", to: "", events: 0, reason: "" };
  while (r.next()) {
    if (r.field === 1) missed.time = r.int64();
    else if (r.field === 2) missed.client = r.string();
    else if (r.field === 3) missed.from = r.string();
    else if (r.field === 4) missed.to = r.string();
    else if (r.field === 5) missed.events = r.uint64();
    else if (r.field === 6) missed.reason = r.string();
    else r.skip();
  }
  return missed;
}

function readProblem(r: Reader): wire.Problem {
  r.open("Problem");
  const problem = { since: 0, kind: "", text: "" };
  while (r.next()) {
    if (r.field === 1) problem.since = r.int64();
    else if (r.field === 2) problem.kind = r.string();
    else if (r.field === 3) problem.text = r.string();
    else r.skip();
  }
  return problem;
}

export function readChat(r: Reader): wire.Chat {
  r.open("Chat");
  const chat: wire.Chat = { channels: [], messages: [], present: [] };
  while (r.next()) {
    if (r.field === 1) chat.channels.push(r.string());
    else if (r.field === 2) chat.messages.push(readChatMessage(r));
    else if (r.field === 3) chat.present.push(readPresence(r));
    else r.skip();
  }
  return chat;
}

function readChatMessage(r: Reader): wire.ChatMessage {
  r.open("ChatMessage");
  const message = { position: "", channel: "", from: "", text: "", time: 0, source: "" };
  while (r.next()) {
    if (r.field === 1) message.position = r.string();
    else if (r.field === 2) message.channel = r.string();
    else if (r.field === 3) message.from = r.string();
    else if (r.field === 4) message.text = r.string();
    else if (r.field === 5) message.time = r.int64();
    else if (r.field === 6) message.source = r.string();
    else r.skip();
  }
  return message;
}

function readPresence(r: Reader): wire.Presence {
  r.open("ChatPresence");
  const presence: wire.Presence = { channel: "", members: [] };
  while (r.next()) {
    if (r.field === 1) presence.channel = r.string();
    else if (r.field === 2) {
      const [name, kind] = readPair(r, "Member");
      presence.members.push({ name, kind });
    } else r.skip();
  }
  return presence;
}
