import { type Command, commandOf, type Draft } from "./commands";
import { payloadSources } from "./wire/payloads";

/** What the hub answers over plain requests, besides the stream. Times are milliseconds since the Unix epoch. */

/** Prometheus is an answer of the Prometheus API: what data holds depends on the question. */
export interface Prometheus {
  data: unknown;
  warnings: string[];
}

/** A Simulator is the fleet of simulated devices inside of the hub; failure is why the last one ended by itself, or empty. */
export interface Simulator {
  running: boolean;
  failure: string;
}

/** ApiError is a refusal of the hub, in its words, or the lack of an answer (status 0). */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** PastSeries is one series of the past; a step without samples is absent. */
export interface PastSeries {
  topic: string;
  field: string;
  unit: string;
  /** step is what each point stands for, ms; 0 where the points are the samples themselves. */
  step: number;
  times: Float64Array;
  min: Float64Array;
  max: Float64Array;
  last: Float64Array;
}

export interface PastQuery {
  device: string;
  /** fields are the metrics that are asked for; none: all. */
  fields?: readonly string[];
  /** from and to are both included. */
  from: number;
  to: number;
  /** points that each series has at most, about. */
  points: number;
}

/** ExplainedTopic is the newest message of a topic and how it was understood. */
export interface ExplainedTopic {
  topic: string;
  format: string;
  problem: string;
  /** time of arrival; 0 where the hub holds no message of the topic any more. */
  time: number;
  /** deviceTime is the device's own clock where it is trusted; NaN where it is not. */
  deviceTime: number;
  why: string[];
  payload: string;
  encoding: "json" | "text" | "base64";
  /** omitted reports that there is a payload, which would have made the answer too long. */
  omitted: boolean;
}

export interface DeviceDetail {
  id: string;
  name: string;
  kind: string;
  topics: ExplainedTopic[];
}

export interface Field {
  as?: string;
  name?: string;
  unit?: string;
  scale?: number;
}

/** Override says what is known better than the hub can know it, for the topics that its filter matches. */
export interface Override {
  filter: string;
  format?: string;
  device?: string;
  name?: string;
  kind?: string;
  fields?: Record<string, Field>;
  /** from is where it was written; that of the configuration cannot be changed here. */
  from?: "dashboard" | "configuration";
}

export interface Overrides {
  version: string;
  overrides: Override[];
  formats: string[];
}

/** Report is how a message is understood, or would be. */
export interface Report {
  device: string | null;
  name?: string;
  kind?: string;
  format: string;
  problem?: string;
  metrics: Record<string, number>;
  texts: Record<string, string>;
  units: Record<string, string>;
  status: string | null;
  timestamp: string | null;
  command?: boolean;
  why: string[];
}

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A request that is not answered within this time has failed, ms. */
const patience = 30_000;

/** Api asks the hub that this page came from. */
export class Api {
  readonly #fetch: Fetch;

  constructor(fetch: Fetch = (url, init) => globalThis.fetch(url, init)) {
    this.#fetch = fetch;
  }

  async history(query: PastQuery, signal?: AbortSignal): Promise<PastSeries[]> {
    const { device, fields = [], from, to, points } = query;
    const asked = new URLSearchParams({
      device,
      from: String(Math.floor(from)),
      to: String(Math.ceil(to)),
      points: String(points),
    });
    for (const field of fields) asked.append("field", field);
    const answer = record(await this.#ask("GET", `/api/v1/history?${asked}`, undefined, signal));
    return list(answer.series).map(pastSeries);
  }

  async device(id: string): Promise<DeviceDetail> {
    const source = await this.#text("GET", devicePath(id));
    const answer = record(parsed(source));
    const payloads = payloadSources(source, "topics");
    return {
      id: text(answer.id),
      name: text(answer.name),
      kind: text(answer.kind),
      topics: list(answer.topics).map((item, i) => explainedTopic(item, payloads[i])),
    };
  }

  async forget(id: string): Promise<void> {
    await this.#text("DELETE", devicePath(id));
  }

  /** send sends a command; its id is told when the hub's log has it. */
  async send(device: string, draft: Draft, from: string): Promise<string> {
    const { topic, payload, qos, retain, expect, field, timeout } = draft;
    const answer = await this.#ask("POST", "/api/v1/commands", {
      device,
      topic,
      from,
      payload_text: payload,
      qos,
      retain,
      timeout: timeout * 1000,
      ...(expect === "" ? {} : { expect: { topic: expect, field } }),
    });
    return text(record(answer).id);
  }

  /** commands are those to a device, newest first. */
  async commands(device: string, signal?: AbortSignal): Promise<Command[]> {
    const asked = new URLSearchParams({ device, limit: "50" });
    return list(record(await this.#ask("GET", `/api/v1/commands?${asked}`, undefined, signal)).commands).map(commandOf);
  }

  async overrides(): Promise<Overrides> {
    return overridesOf(await this.#ask("GET", "/api/v1/overrides"));
  }

  /** saveOverrides replaces those that are kept on the hub; 409 where they have changed since the version was read. */
  async saveOverrides(version: string, overrides: Override[]): Promise<Overrides> {
    return overridesOf(await this.#ask("PUT", "/api/v1/overrides", { version, overrides }));
  }

  /** decode tells how a message would be understood with these overrides in the place of those that are kept. */
  async decode(message: ExplainedTopic, overrides?: Override[]): Promise<Report> {
    const { topic, payload, encoding, time } = message;
    const body = encoding === "base64" ? { payload_base64: payload } : { payload };
    const question = {
      topic,
      ...body,
      ...(Number.isFinite(time) ? { time } : {}),
      ...(overrides ? { overrides } : {}),
    };
    return (await this.#ask("POST", "/api/v1/decode", question)) as Report;
  }

  /** simulator tells of the hub's own simulated fleet (GET), starts it (POST) or stops it (DELETE); ApiError 404 where there is none to be had. */
  async simulator(method: "GET" | "POST" | "DELETE"): Promise<Simulator> {
    const { running, failure } = record(await this.#ask(method, "/api/v1/simulator"));
    return { running: running === true, failure: text(failure) };
  }

  /** boards are all boards, or the one of an id; PUT and DELETE change it. */
  async boards(method: "GET" | "PUT" | "DELETE", id = "", body?: unknown): Promise<string> {
    return this.#text(method, `/api/v1/boards${id && `/${encodeURIComponent(id)}`}`, body);
  }

  /** prometheus asks the Prometheus API (/api/v1/…) with form parameters. */
  async prometheus(path: string, params: Record<string, string>, signal?: AbortSignal): Promise<Prometheus> {
    const answer = record(await this.#ask("GET", `/api/v1/${path}?${new URLSearchParams(params)}`, undefined, signal));
    return { data: answer.data, warnings: [...list(answer.warnings), ...list(answer.infos)].map(text) };
  }

  async #ask(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
    return parsed(await this.#text(method, path, body, signal));
  }

  async #text(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<string> {
    const init: RequestInit = { method, headers: { Accept: "application/json" } };
    if (body !== undefined) {
      init.headers = { ...init.headers, "Content-Type": "application/json" };
      init.body = JSON.stringify(body);
    }
    const late = AbortSignal.timeout(patience);
    init.signal = signal === undefined ? late : AbortSignal.any([signal, late]);
    try {
      const response = await this.#fetch(path, init);
      const answer = await response.text();
      if (response.ok) return answer;
      throw new ApiError(response.status, problemOf(answer) || response.statusText || String(response.status));
    } catch (e) {
      throw e instanceof ApiError ? e : new ApiError(0, e instanceof Error ? e.message : String(e));
    }
  }
}

/** devicePath keeps the slashes of an id, which the hub takes as they are; an id that no path can carry goes as a parameter. */
export function devicePath(id: string): string {
  if (/(^|\/)\.{0,2}(\/|$)/.test(id)) return `/api/v1/devices/?${new URLSearchParams({ id })}`;
  return `/api/v1/devices/${id.split("/").map(encodeURIComponent).join("/")}`;
}

/** exportPath is where all that is kept of a device's numbers, up to a time, can be fetched as a file. */
export function exportPath(device: string, format: "csv" | "jsonl", to?: number): string {
  return `/api/v1/export?${new URLSearchParams({ device, format, ...(to && { to: String(Math.floor(to)) }) })}`;
}

function parsed(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    throw new ApiError(0, "the answer is no JSON");
  }
}

/** problemOf is what a refusal says (RFC 9457); empty where it says nothing. */
function problemOf(answer: string): string {
  try {
    const { detail, title, error } = record(JSON.parse(answer));
    return text(detail) || text(title) || text(error);
  } catch {
    return "";
  }
}

function pastSeries(item: unknown): PastSeries {
  const { topic, field, unit, step, times, min, max, last } = record(item);
  const at = column(times);
  const values = column(last, at.length);
  return {
    topic: text(topic),
    field: text(field),
    unit: text(unit),
    step: Number.isFinite(number(step)) ? number(step) : 0,
    times: at,
    last: values,
    min: min === undefined ? values : column(min, at.length),
    max: max === undefined ? values : column(max, at.length),
  };
}

function explainedTopic(item: unknown, json: string | undefined): ExplainedTopic {
  const { topic, format, problem, time, device_time, why, payload_text, payload_base64, omitted } = record(item);
  const base64 = typeof payload_base64 === "string";
  return {
    topic: text(topic),
    format: text(format),
    problem: text(problem),
    time: number(time),
    deviceTime: number(device_time),
    why: list(why).map(text),
    payload: json ?? (base64 ? payload_base64 : text(payload_text)),
    encoding: json !== undefined ? "json" : base64 ? "base64" : "text",
    omitted: omitted === true,
  };
}

function overridesOf(answer: unknown): Overrides {
  const { version, overrides, formats } = record(answer);
  return { version: text(version), overrides: list(overrides) as Override[], formats: list(formats).map(text) };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number {
  return typeof value === "number" ? value : Number.NaN;
}

/** column is numbers as the charts take them; what is absent is NaN, never 0. */
function column(value: unknown, length?: number): Float64Array {
  const from = list(value);
  return Float64Array.from({ length: length ?? from.length }, (_, i) => number(from[i]));
}
