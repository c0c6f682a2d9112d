import { bench, describe } from "vitest";
import { decode } from "../src/core/wire/proto";
import { parse as parseJson } from "./json";

// npx vitest bench: 10,000 values as a busy room has them, and 1,000 events, in both forms.

const zigzag = (n: number): number => (n < 0 ? -2 * n - 1 : 2 * n);

function varint(out: number[], n: number): void {
  for (; n > 127; n = Math.floor(n / 128)) out.push((n % 128) | 128);
  out.push(n);
}

function field(out: number[], number: number, bytes: ArrayLike<number>): void {
  varint(out, number * 8 + 2);
  varint(out, bytes.length);
  for (let i = 0; i < bytes.length; i++) out.push(bytes[i]);
}

function message(write: (frame: number[]) => void): Uint8Array {
  const frame: number[] = [];
  write(frame);
  const out = [16, 7];
  field(out, 10, frame);
  return Uint8Array.from(out);
}

const rows = Array.from({ length: 10_000 }, (_, i) => [
  (i * 7) % 3000,
  1763830000000 + (i >> 3),
  20 + (i % 1000) / 100,
]);
const columns: number[][] = [[], [], [], []];
rows.forEach(([series, time, value], i) => {
  const [before, then] = i > 0 ? rows[i - 1] : [0, 1763830000000];
  varint(columns[0], zigzag(series - before));
  varint(columns[1], zigzag(time - then));
  columns[2].push(2);
  varint(columns[3], zigzag(Math.round(value * 100)));
});
const values = message((frame) => {
  const body = [8];
  varint(body, 1763830000000);
  columns.forEach((column, i) => {
    field(body, i + 2, column);
  });
  field(frame, 4, body);
});
const valuesJson = JSON.stringify({ room: 7, position: "k3f.1050", values: rows });

const text = new TextEncoder();
const payloads = Array.from({ length: 1000 }, (_, i) => ({
  ts: 1763830000000 + i,
  temperature: 21.34,
  humidity: 44,
  seq: i,
}));
const events = message((frame) => {
  payloads.forEach((payload, i) => {
    const event: number[] = [];
    field(event, 1, text.encode(`devices/d${i % 100}/telemetry`));
    field(event, 2, text.encode(`d${i % 100}`));
    event.push(24);
    varint(event, payload.ts);
    field(event, 4, text.encode(JSON.stringify(payload)));
    field(frame, 2, event);
  });
});
const eventsJson = JSON.stringify({
  room: 7,
  events: payloads.map((payload, i) => ({
    topic: `devices/d${i % 100}/telemetry`,
    device: `d${i % 100}`,
    time: payload.ts,
    payload,
  })),
});

describe("10,000 values", () => {
  bench("binary", () => void decode(values), { time: 1000 });
  bench("JSON", () => void parseJson(valuesJson), { time: 1000 });
});

describe("1,000 events", () => {
  bench("binary", () => void decode(events), { time: 1000 });
  bench("JSON", () => void parseJson(eventsJson), { time: 1000 });
});
