// What the stream can say, version 1, as the rest of the dashboard sees it: independent of the form it travelled in.
// Times are milliseconds since the Unix epoch on the hub's clock. A number that was not told is NaN, never 0.

export type Form = "events" | "values" | "devices" | "topics" | "hub" | "chat";

export interface Subscribe {
  filters: string[];
  form: Form;
  delivery?: "every" | "latest";
  rate?: number;
  from?: string;
  history?: number;
  devices?: string[];
  /** viewers asks to be told who else watches. */
  viewers?: boolean;
}

export interface Publish {
  topic: string;
  payload: unknown;
  qos: 0 | 1;
  retain?: boolean;
}

export interface Hello {
  token?: string;
  client?: string;
  name?: string;
}

/** Command is what a client sends; the reply has its id. As it is here it is the JSON form. */
export type Command = { id: number } & (
  | { hello: Hello }
  | { subscribe: Subscribe }
  | { unsubscribe: { room: number } }
  | { publish: Publish | PublishText | PublishBytes }
  | { ping: object }
  | { change: { room: number; subscribe: Subscribe } }
  | { painted: { counts: number[] } }
);

/** PublishText is for text that is no JSON, PublishBytes for what is no text. */
export type PublishText = Omit<Publish, "payload"> & { payload_text: string };
export type PublishBytes = Omit<Publish, "payload"> & { payload_base64: string };

export interface Series {
  series: number;
  device: string;
  name: string;
  unit: string;
  topic: string;
}

/** Value is [series, time, last, min, max, count]; the last three only where it stands for several. */
export type Value = readonly number[];

export interface Event {
  topic: string;
  device: string;
  time: number;
  /** payload as text: the device's own bytes where they are text, else base64. */
  payload: string;
  encoding: "json" | "text" | "base64";
  error: string;
  /** count of events of the topic that this one stands for. */
  count: number;
  will: boolean;
}

export interface Device {
  device: number;
  id: string;
  kind: string;
  name: string;
  first: number;
  topics: string[];
  client: string;
  metrics: Series[];
  texts: [string, string][];
}

export type Status = "online" | "stale" | "offline";

export interface DeviceStatus {
  device: number;
  status: Status;
  time: number;
  rate: number;
  events: number;
  interval: number;
  value: number;
  undecodable: number;
}

export interface Topic {
  topic: number;
  name: string;
  device: string;
}

export interface TopicActivity {
  topic: number;
  time: number;
  events: number;
  rate: number;
  bytes: number;
  preview: string;
}

/** HubSecond is [time, events_per_s, p50, p99, online, total, errors, device_p50, device_p99, screen_p50, screen_p99]. */
export type HubSecond = readonly number[];

export interface Refusal {
  time: number;
  remote: string;
  client: string;
  reason: string;
}

/** Missed is what an MQTT subscriber was owed and did not get, because the log no longer held it. */
export interface Missed {
  time: number;
  client: string;
  from: string;
  to: string;
  /** events of the log that lie between; not all of them were the client's. 0 where it cannot be told. */
  events: number;
  reason: string;
}

/** Problem is why the hub does not store what it is given. */
export interface Problem {
  since: number;
  kind: string;
  text: string;
}

/** Percentiles are of latencies in ms, NaN where nothing was measured. */
export interface Percentiles {
  p50: number;
  p99: number;
}

export interface Hub {
  time: number;
  started: number;
  version: string;
  devices: { total: number; online: number; stale: number; offline: number };
  connections: number;
  screens: number;
  eventsPerSecond: number;
  bytesPerSecond: number;
  framesPerSecond: number;
  /** latency through the hub, from the devices to it, and from it to the screens, as many as have told. */
  latency: Percentiles & { device: Percentiles; screen: Percentiles & { screens: number } };
  undecodable: number;
  drops: [string, number][];
  gaps: number;
  log: { events: number; bytes: number; durable: string };
  refused: Refusal[];
  missed: Missed[];
  sessions: number;
  behind: number;
  problems: Problem[];
  addresses: { mqtt: string; http: string };
  history: HubSecond[];
}

export interface ChatMessage {
  position: string;
  channel: string;
  from: string;
  text: string;
  time: number;
  source: string;
}

export interface Member {
  name: string;
  kind: string;
}

export interface Presence {
  channel: string;
  members: Member[];
}

export interface Chat {
  channels: string[];
  messages: ChatMessage[];
  present: Presence[];
}

export interface Frame {
  position: string;
  events: Event[];
  series: Series[];
  values: Value[];
  /** removed are numbers of devices that were deleted; it counts before devices and status. */
  removed: number[];
  devices: Device[];
  status: DeviceStatus[];
  topics: Topic[];
  activity: TopicActivity[];
  hub: Hub | undefined;
  chat: Chat | undefined;
  truncated: boolean;
  /** arrived is when the newest message arrived that values are of; 0 where that is not told. */
  arrived: number;
}

export interface Gap {
  from: string;
  to: string;
  events: number;
  reason: string;
}

/** Viewers tells who watches the same as a subscription. present comes first and replaces what was said before. */
export interface Viewers {
  count: number;
  /** sampled reports that there are too many to name them all. */
  sampled: boolean;
  present: Viewer[];
  joined: Viewer[];
  /** left names sessions. */
  left: string[];
}

export interface Viewer {
  session: string;
  name: string;
  transport: string;
  since: number;
}

export interface WireError {
  code: string;
  message: string;
  retry: boolean;
}

export type Reply =
  | { type: "welcome"; session: string; node: string; version: string; now: number }
  | { type: "subscribed"; room: number; position: string; recovered: boolean; reason: string }
  | { type: "changed"; from: number; room: number; position: string; recovered: boolean; reason: string }
  | { type: "unsubscribed"; room: number }
  | { type: "published"; position: string }
  | { type: "pong"; now: number }
  | { type: "error"; error: WireError };

export type Message =
  | { kind: "reply"; id: number; reply: Reply }
  | { kind: "frame"; room: number; snapshot: boolean; frame: Frame }
  | { kind: "gap"; room: number; gap: Gap }
  | { kind: "viewers"; room: number; viewers: Viewers }
  | { kind: "bad"; reason: string };
