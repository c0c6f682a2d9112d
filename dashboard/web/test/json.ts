import { payloadSources } from "../src/core/wire/payloads";
import type * as wire from "../src/core/wire/types";

/** subprotocol names the JSON form in the WebSocket handshake. */
export const subprotocol = "pulso.v1.json";

type Json = Record<string, unknown>;

/**
 * parse reads one message of the hub. It never throws: what cannot be understood comes back as `bad`, and a row of the
 * wrong shape is left out of its frame. Fields it does not know are ignored, so that a newer hub stays readable.
 */
export function parse(text: string): wire.Message {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return { kind: "bad", reason: "not JSON" };
  }
  if (!isObject(root)) return { kind: "bad", reason: "not an object" };
  if (typeof root.room === "number") return parseRoom(root, root.room, text);
  if (typeof root.id !== "number") return { kind: "bad", reason: "neither id nor room" };
  const reply = parseReply(root);
  return reply === undefined ? { kind: "bad", reason: "unknown reply" } : { kind: "reply", id: root.id, reply };
}

function parseRoom(root: Json, room: number, text: string): wire.Message {
  if (isObject(root.gap)) {
    const { gap } = root;
    return {
      kind: "gap",
      room,
      gap: { from: str(gap.from), to: str(gap.to), events: num(gap.events), reason: str(gap.reason) },
    };
  }
  if (isObject(root.viewers)) return { kind: "viewers", room, viewers: parseViewers(root.viewers) };
  const snapshot = isObject(root.snapshot);
  return { kind: "frame", room, snapshot, frame: parseFrame(snapshot ? (root.snapshot as Json) : root, text) };
}

function parseViewers(viewers: Json): wire.Viewers {
  return {
    count: num(viewers.count),
    sampled: viewers.sampled === true,
    present: rows(viewers.present, parseViewer),
    joined: rows(viewers.joined, parseViewer),
    left: rows(viewers.left, (session) => (typeof session === "string" ? session : undefined)),
  };
}

function parseViewer(row: unknown): wire.Viewer | undefined {
  if (!Array.isArray(row) || typeof row[0] !== "string") return undefined;
  return { session: row[0], name: str(row[1]), transport: str(row[2]), since: num(row[3]) };
}

function parseReply(root: Json): wire.Reply | undefined {
  const { welcome, subscribed, changed, unsubscribed, published, pong, error } = root;
  if (isObject(welcome)) {
    const { session, node, version, now } = welcome;
    return { type: "welcome", session: str(session), node: str(node), version: str(version), now: num(now) };
  }
  if (isObject(subscribed) && typeof subscribed.room === "number") {
    const { room, position, recovered, reason } = subscribed;
    return { type: "subscribed", room, position: str(position), recovered: recovered === true, reason: str(reason) };
  }
  if (isObject(changed) && typeof changed.room === "number") {
    const { from, room, position, recovered, reason } = changed;
    return {
      type: "changed",
      from: num(from),
      room,
      position: str(position),
      recovered: recovered === true,
      reason: str(reason),
    };
  }
  if (isObject(unsubscribed)) return { type: "unsubscribed", room: num(unsubscribed.room) };
  if (isObject(published)) return { type: "published", position: str(published.position) };
  if (isObject(pong)) return { type: "pong", now: num(pong.now) };
  if (isObject(error)) {
    return {
      type: "error",
      error: { code: str(error.code), message: str(error.message), retry: error.retry === true },
    };
  }
  return undefined;
}

function parseFrame(frame: Json, text: string): wire.Frame {
  return {
    position: str(frame.position),
    events: Array.isArray(frame.events) ? parseEvents(frame.events, text) : [],
    series: rows(frame.series, parseSeries),
    values: Array.isArray(frame.values) ? frame.values.filter(isValue) : [],
    removed: Array.isArray(frame.removed) ? frame.removed.filter(Number.isFinite) : [],
    devices: rows(frame.devices, parseDevice),
    status: rows(frame.status, parseStatus),
    topics: rows(frame.topics, parseTopic),
    activity: rows(frame.activity, parseActivity),
    hub: isObject(frame.hub) ? parseHub(frame.hub) : undefined,
    chat: isObject(frame.chat) ? parseChat(frame.chat) : undefined,
    truncated: frame.truncated === true,
    arrived: num(frame.arrived) || 0,
  };
}

function parseEvents(list: unknown[], text: string): wire.Event[] {
  const sources = payloadSources(text);
  const events: wire.Event[] = [];
  list.forEach((item, i) => {
    if (!isObject(item) || typeof item.topic !== "string") return;
    const encoding = "payload" in item ? "json" : typeof item.payload_base64 === "string" ? "base64" : "text";
    const payload = encoding === "json" ? (sources[i] ?? "") : str(item.payload_text) || str(item.payload_base64);
    events.push({
      topic: item.topic,
      device: str(item.device),
      time: num(item.time),
      payload,
      encoding,
      error: str(item.error),
      count: typeof item.count === "number" && item.count > 1 ? item.count : 1,
      will: item.will === true,
    });
  });
  return events;
}

/** isValue admits [series, time, last] and [series, time, last, min, max, count], all finite. */
function isValue(row: unknown): row is wire.Value {
  return Array.isArray(row) && (row.length === 3 || row.length === 6) && row.every(Number.isFinite);
}

function parseSeries(row: unknown): wire.Series | undefined {
  if (!Array.isArray(row) || typeof row[0] !== "number") return undefined;
  return { series: row[0], device: str(row[1]), name: str(row[2]), unit: str(row[3]), topic: str(row[4]) };
}

function parseDevice(row: unknown): wire.Device | undefined {
  if (!isObject(row) || typeof row.device !== "number" || typeof row.id !== "string") return undefined;
  return {
    device: row.device,
    id: row.id,
    kind: str(row.kind),
    name: str(row.name),
    first: num(row.first),
    topics: rows(row.topics, (topic) => (typeof topic === "string" ? topic : undefined)),
    client: str(row.client),
    metrics: rows(row.metrics, parseSeries),
    texts: rows(row.texts, (pair) => (Array.isArray(pair) ? [str(pair[0]), str(pair[1])] : undefined)),
  };
}

function parseStatus(row: unknown): wire.DeviceStatus | undefined {
  if (!Array.isArray(row) || typeof row[0] !== "number") return undefined;
  const status = row[1];
  if (status !== "online" && status !== "stale" && status !== "offline") return undefined;
  return {
    device: row[0],
    status,
    time: num(row[2]),
    rate: num(row[3]),
    events: num(row[4]),
    interval: num(row[5]),
    value: num(row[6]),
    undecodable: num(row[7]),
  };
}

function parseTopic(row: unknown): wire.Topic | undefined {
  if (!Array.isArray(row) || typeof row[0] !== "number" || typeof row[1] !== "string") return undefined;
  return { topic: row[0], name: row[1], device: str(row[2]) };
}

function parseActivity(row: unknown): wire.TopicActivity | undefined {
  if (!Array.isArray(row) || typeof row[0] !== "number") return undefined;
  return {
    topic: row[0],
    time: num(row[1]),
    events: num(row[2]),
    rate: num(row[3]),
    bytes: num(row[4]),
    preview: str(row[5]),
  };
}

function parseHub(hub: Json): wire.Hub {
  const devices = object(hub.devices);
  const latency = object(hub.latency);
  const log = object(hub.log);
  const addresses = object(hub.addresses);
  return {
    time: num(hub.time),
    started: num(hub.started),
    version: str(hub.version),
    devices: {
      total: num(devices.total),
      online: num(devices.online),
      stale: num(devices.stale),
      offline: num(devices.offline),
    },
    connections: num(hub.connections),
    screens: num(hub.screens),
    eventsPerSecond: num(hub.events_per_s),
    bytesPerSecond: num(hub.bytes_per_s),
    framesPerSecond: num(hub.frames_per_s),
    latency: {
      ...percentiles(latency),
      device: percentiles(object(latency.device)),
      screen: { ...percentiles(object(latency.screen)), screens: num(object(latency.screen).screens) || 0 },
    },
    undecodable: num(hub.undecodable),
    drops: rows(hub.drops, (row) => (Array.isArray(row) ? [str(row[0]), num(row[1])] : undefined)),
    gaps: num(hub.gaps),
    log: { events: num(log.events), bytes: num(log.bytes), durable: str(log.durable) },
    refused: rows(hub.refused, (row) =>
      isObject(row)
        ? { time: num(row.time), remote: str(row.remote), client: str(row.client), reason: str(row.reason) }
        : undefined,
    ),
    missed: rows(hub.missed, (row) =>
      isObject(row)
        ? {
            time: num(row.time),
            client: str(row.client),
            from: str(row.from),
            to: str(row.to),
            events: num(row.events),
            reason: str(row.reason),
          }
        : undefined,
    ),
    sessions: num(hub.sessions),
    behind: num(hub.behind),
    problems: rows(hub.problems, (row) =>
      isObject(row) ? { since: num(row.since), kind: str(row.kind), text: str(row.text) } : undefined,
    ),
    addresses: { mqtt: str(addresses.mqtt), http: str(addresses.http) },
    history: rows(hub.history, (row) => (Array.isArray(row) && row.length >= 7 ? row.map(num) : undefined)),
  };
}

function percentiles({ p50, p99 }: Json): wire.Percentiles {
  return { p50: num(p50), p99: num(p99) };
}

function parseChat(chat: Json): wire.Chat {
  return {
    channels: rows(chat.channels, (name) => (typeof name === "string" ? name : undefined)),
    messages: rows(chat.messages, (row) =>
      isObject(row) && typeof row.channel === "string"
        ? {
            position: str(row.position),
            channel: row.channel,
            from: str(row.from),
            text: str(row.text),
            time: num(row.time),
            source: str(row.source),
          }
        : undefined,
    ),
    present: rows(chat.present, (row) =>
      isObject(row) && typeof row.channel === "string"
        ? { channel: row.channel, members: rows(row.members, parseMember) }
        : undefined,
    ),
  };
}

function parseMember(row: unknown): wire.Member | undefined {
  return Array.isArray(row) && typeof row[0] === "string" ? { name: row[0], kind: str(row[1]) } : undefined;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function object(value: unknown): Json {
  return isObject(value) ? value : {};
}

function str(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function num(value: unknown): number {
  return typeof value === "number" ? value : Number.NaN;
}

function rows<T>(value: unknown, read: (row: unknown) => T | undefined): T[] {
  if (!Array.isArray(value)) return [];
  const list: T[] = [];
  for (const row of value) {
    const item = read(row);
    if (item !== undefined) list.push(item);
  }
  return list;
}
