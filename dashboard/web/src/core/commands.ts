import type { ExplainedTopic } from "./api";

export const commandStates = ["sent", "delivered", "acknowledged", "failed", "timed_out"] as const;
export type CommandState = (typeof commandStates)[number];

/** Command is one that was sent, and what became of it. Times are ms; NaN: it did not come to that. */
export interface Command {
  id: string;
  topic: string;
  payload: string;
  size: number;
  qos: number;
  retain: boolean;
  timeout: number;
  from: string;
  to: string;
  state: CommandState;
  sent: number;
  delivered: number;
  /** ended is when it was acknowledged, failed or timed out. */
  ended: number;
  took: number;
  reason: string;
  response: string;
  answered: string;
}

/** Draft is a command that has not been sent. The payload is sent as it stands. */
export interface Draft {
  topic: string;
  payload: string;
  qos: 0 | 1;
  retain: boolean;
  /** expect is the topic of the answer; empty: what the command's topic suggests. */
  expect: string;
  /** field must be in the answer; empty: any answer will do. */
  field: string;
  /** timeout in seconds. */
  timeout: number;
}

export const draftOf = (topic = "", payload = ""): Draft => ({
  topic,
  payload,
  qos: 1,
  retain: false,
  expect: "",
  field: "",
  timeout: 10,
});

/** ended reports that nothing more becomes of a command. */
export const ended = ({ state }: Command): boolean => state !== "sent" && state !== "delivered";

/** asOf is what was known of commands at a moment of the past. */
export function asOf(commands: readonly Command[], moment: number): Command[] {
  return commands
    .filter(({ sent }) => sent <= moment)
    .map((one) => {
      if (!(one.ended > moment)) return one;
      const delivered = one.delivered <= moment;
      const unknown = { ended: Number.NaN, took: Number.NaN, reason: "", response: "", answered: "" };
      return { ...one, ...unknown, state: delivered ? "delivered" : "sent", to: delivered ? one.to : "" };
    });
}

/** commandOf reads one of the hub's. */
export function commandOf(item: unknown): Command {
  const from = (typeof item === "object" && item !== null ? item : {}) as Record<string, unknown>;
  const text = (name: string) => (typeof from[name] === "string" ? (from[name] as string) : "");
  const number = (name: string) => (typeof from[name] === "number" ? (from[name] as number) : Number.NaN);
  const ends = ["acknowledged", "failed", "timed_out"].map(number).find((time) => !Number.isNaN(time));
  return {
    id: text("id"),
    topic: text("topic"),
    payload: text("payload_text") || text("payload_base64"),
    size: number("size"),
    qos: number("qos"),
    retain: from.retain === true,
    timeout: number("timeout"),
    from: text("from"),
    to: text("to"),
    state: commandStates.find((state) => state === from.state) ?? "sent",
    sent: number("sent"),
    delivered: number("delivered"),
    ended: ends ?? Number.NaN,
    took: number("took"),
    reason: text("reason"),
    response: text("response") || text("response_base64"),
    answered: text("response_topic"),
  };
}

/** topicProblem is what keeps a command's topic from being sent; undefined where nothing does. */
export function topicProblem(topic: string): "empty" | "wildcard" | "reserved" | undefined {
  if (topic.trim() === "") return "empty";
  if (/[+#\0]/.test(topic)) return "wildcard";
  return topic.startsWith("$") ? "reserved" : undefined;
}

/** Template is a command that a device of a kind is likely to understand. Its name is the payload, or what of it matters. */
export interface Template {
  name: string;
  topic: string;
  payload: string;
}

type Rule = [pattern: RegExp, topic: string, payloads: [name: string, payload: string][]];

const switched: Rule[2] = [
  ["ON", "ON"],
  ["OFF", "OFF"],
  ["TOGGLE", "TOGGLE"],
];
const rpc = (on: boolean) => `{"id":1,"src":"pulso","method":"Switch.Set","params":{"id":0,"on":${on}}}`;

/** The customs of families, by the topics that their devices speak on; $1, $2 … are the pattern's groups. */
const rules: Rule[] = [
  [/^(.*\/)?(?:tele|stat)\/(.+)\/[^/]+$/, "$1cmnd/$2/POWER", switched],
  [/^(.+)\/(?:tele|stat)\/[^/]+$/, "$1/cmnd/POWER", switched],
  [
    /^(zigbee2mqtt\/[^/]+)(?:\/availability)?$/,
    "$1/set",
    [
      ["ON", '{"state":"ON"}'],
      ["OFF", '{"state":"OFF"}'],
      ["brightness", '{"brightness":128}'],
    ],
  ],
  [
    /^(shellies\/[^/]+\/(?:relay|light)\/\d+)(?:\/.*)?$/,
    "$1/command",
    [
      ["on", "on"],
      ["off", "off"],
      ["toggle", "toggle"],
    ],
  ],
  [
    /^([^/]+)\/(?:events\/rpc|status\/switch:\d+)$/,
    "$1/rpc",
    [
      ["on", rpc(true)],
      ["off", rpc(false)],
    ],
  ],
  [
    /^(homie\/(?:5\/)?[^/]+\/[^/$]+\/[^/$]+)$/,
    "$1/set",
    [
      ["true", "true"],
      ["false", "false"],
    ],
  ],
  [/^(.+\/(?:switch|light|fan|relay|output)\/[^/]+)\/state$/, "$1/command", switched],
  [/^(wled\/[^/]+)(?:\/.*)?$/, "$1", switched],
];

/** Names of values that devices let be set, besides those whose names say so. */
const settable =
  /^(state|power|on|enabled|brightness|level|target|setpoint|target_temperature|mode|relay|valve|interval)$/i;
const plain = /^(.+)\/(?:telemetry|state|status|data|info)$/;
const templateLimit = 12;

/** templates are commands for a device, by what it speaks; the last is always one for any device. */
export function templates(id: string, topics: readonly ExplainedTopic[]): Template[] {
  const found = new Map<string, Template>();
  const add = (name: string, topic: string, payload: string) => {
    if (found.size < templateLimit && topicProblem(topic) === undefined)
      found.set(`${topic} ${payload}`, { name, topic, payload });
  };
  let base = `devices/${id}`;
  for (const { topic, payload, encoding } of topics) {
    const rule = rules.find(([pattern]) => pattern.test(topic));
    if (rule !== undefined) {
      const [pattern, to, payloads] = rule;
      const target = topic.replace(pattern, (_, ...groups) =>
        to.replace(/\$(\d)/g, (_, n) => groups[Number(n) - 1] ?? ""),
      );
      for (const [name, text] of payloads) add(name, target, text);
      continue;
    }
    const above = plain.exec(topic)?.[1];
    if (above === undefined) continue;
    base = above;
    if (encoding !== "json") continue;
    for (const [name, value] of members(payload)) {
      if (settable.test(name) && typeof value !== "object")
        add(name, `${above}/set`, JSON.stringify({ [name]: value }));
    }
  }
  if (found.size === 0) add("JSON", `${base}/set`, '{"state":"on"}');
  return [...found.values()];
}

function members(payload: string): [string, unknown][] {
  try {
    const value = JSON.parse(payload);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
  } catch {
    return [];
  }
}

const rememberedDevices = 30;
const rememberedDrafts = 6;
const storageKey = "pulso.commands";

/** Remembered are the last commands to each device, in this browser; where it keeps nothing, as long as the page. */
export class Remembered {
  #memory = "";

  of(device: string): Draft[] {
    return this.#all().find(([id]) => id === device)?.[1] ?? [];
  }

  add(device: string, draft: Draft): void {
    const same = (other: Draft) => other.topic === draft.topic && other.payload === draft.payload;
    const drafts = [{ ...draft }, ...this.of(device).filter((other) => !same(other))].slice(0, rememberedDrafts);
    const others = this.#all().filter(([id]) => id !== device);
    this.#memory = JSON.stringify([[device, drafts], ...others].slice(0, rememberedDevices));
    try {
      localStorage.setItem(storageKey, this.#memory);
    } catch {
      // Kept in memory above.
    }
  }

  #all(): [string, Draft[]][] {
    let stored: string | null = null;
    try {
      stored = localStorage.getItem(storageKey);
    } catch {
      // It is in memory.
    }
    try {
      const all = JSON.parse(stored ?? this.#memory);
      return Array.isArray(all) ? all.map(([id, drafts]) => [String(id), drafts.map(restored)]) : [];
    } catch {
      return [];
    }
  }
}

function restored(from: Partial<Draft>): Draft {
  const draft = draftOf(String(from.topic ?? ""), String(from.payload ?? ""));
  draft.qos = from.qos === 0 ? 0 : 1;
  draft.retain = from.retain === true;
  draft.expect = String(from.expect ?? "");
  draft.field = String(from.field ?? "");
  draft.timeout = Number(from.timeout) || 10;
  return draft;
}
