import { Reader, WireType } from "./protobuf";
import type { Value } from "./types";

// Numbers in columns: see `message Values` in stream.proto. A row takes an element of series, of times and of kinds, and its
// numbers from decimals or doubles: a decimal is a whole number and how many of its digits stand behind the point, so that
// one division gives the very float64 that the device sent.

const powers = Array.from({ length: 15 }, (_, scale) => Number(`1e${scale}`));

const scaleBits = 15;
const isDouble = 15;
const isSeveral = 16;
const maxExact = 2 ** 53;

const names = ["", "time", "series", "times", "kinds", "decimals", "doubles", "counts"];
const doubles = 6;

/**
 * readValues reads the Values that the reader's field is, and appends its rows to `into`. Rows that are no finite numbers are
 * left out, as they are of the JSON form.
 */
export function readValues(r: Reader, into: Value[]): void {
  r.open("Values");
  let time = 0;
  // Pairs of where a part of a column begins and ends: a column may come in several parts, or an element at a time.
  const parts: number[][] = [[], [], [], [], [], [], [], []];
  while (r.next()) {
    if (r.field === 1) time = r.int64();
    else if (r.field <= 7) readPart(r, parts[r.field]);
    else r.skip();
  }
  new Rows(r, parts).read(time, into);
}

function readPart(r: Reader, parts: number[]): void {
  const start = r.pos;
  if (r.type === WireType.bytes) {
    const end = r.length();
    const whole = r.field === doubles ? (end - r.pos) % 8 === 0 : end === r.pos || r.bytes[end - 1] < 128;
    if (!whole) r.fail("a column's part that ends inside of an element", end);
    parts.push(r.pos, end);
    r.pos = end;
    return;
  }
  r.expect(r.field === doubles ? WireType.fixed64 : WireType.varint);
  r.skip();
  parts.push(start, r.pos);
}

/** column makes a reader of a column's parts. Only one in several parts is copied. */
function column(r: Reader, parts: number[][], field: number): Reader {
  const list = parts[field];
  const name = `Values.${names[field]}`;
  if (list.length <= 2) return new Reader(r.bytes, name, list[0] ?? 0, list[1] ?? 0);
  let size = 0;
  for (let i = 0; i < list.length; i += 2) size += list[i + 1] - list[i];
  const joined = new Uint8Array(size);
  let at = 0;
  for (let i = 0; i < list.length; i += 2) {
    joined.set(r.bytes.subarray(list[i], list[i + 1]), at);
    at += list[i + 1] - list[i];
  }
  return new Reader(joined, name);
}

class Rows {
  readonly #series: Reader;
  readonly #times: Reader;
  readonly #kinds: Reader;
  readonly #decimals: Reader;
  readonly #doubles: Reader;
  readonly #counts: Reader;

  constructor(r: Reader, parts: number[][]) {
    this.#series = column(r, parts, 2);
    this.#times = column(r, parts, 3);
    this.#kinds = column(r, parts, 4);
    this.#decimals = column(r, parts, 5);
    this.#doubles = column(r, parts, 6);
    this.#counts = column(r, parts, 7);
  }

  read(time: number, into: Value[]): void {
    const kinds = this.#kinds;
    let series = 0;
    while (kinds.more) {
      const step = this.#series.varint32();
      series = (series + ((step >>> 1) ^ -(step & 1))) >>> 0;
      time += this.#times.zigzag64();
      if (!Number.isSafeInteger(time)) this.#times.fail("a time beyond 2^53");
      const kind = kinds.varint32();
      const row =
        kind > (scaleBits | isSeveral)
          ? kinds.fail(`kind ${kind}`, kinds.pos - 1)
          : (kind & scaleBits) === isDouble
            ? this.#double(series, time, kind)
            : this.#decimal(series, time, kind);
      if (row !== undefined) into.push(row);
    }
    for (const rest of [this.#series, this.#times, this.#decimals, this.#doubles, this.#counts]) {
      if (rest.more) rest.fail("more elements than the kinds need");
    }
  }

  #double(series: number, time: number, kind: number): Value | undefined {
    const last = this.#doubles.float64();
    if (kind < isSeveral) return Number.isFinite(last) ? [series, time, last] : undefined;
    const min = this.#doubles.float64();
    const max = this.#doubles.float64();
    const count = this.#counts.varint32();
    const finite = Number.isFinite(last) && Number.isFinite(min) && Number.isFinite(max);
    return finite ? [series, time, last, min, max, count] : undefined;
  }

  #decimal(series: number, time: number, kind: number): Value {
    const decimals = this.#decimals;
    const power = powers[kind & scaleBits];
    const last = decimals.zigzag64();
    if (!isExact(decimals, last)) decimals.fail("a decimal beyond 2^53");
    if (kind < isSeveral) return [series, time, last / power];
    const min = 0 - distant(decimals, -last); // not -0 for 0
    const max = distant(decimals, last);
    return [series, time, last / power, min / power, max / power, this.#counts.varint32()];
  }
}

/** isExact reports whether n, which r read last, is at most 2^53 and thus what was written. */
function isExact(r: Reader, n: number): boolean {
  return Math.abs(n) < maxExact || (Math.abs(n) === maxExact && r.lo === 0);
}

/** distant reads how far a number is from n. Two that are exact may be further from each other than is exact. */
function distant(r: Reader, n: number): number {
  const step = r.zigzag64();
  const sum = n + step;
  if (Math.abs(step) < maxExact && Math.abs(sum) < maxExact) return sum;
  const exact = BigInt(n) + r.big();
  if (exact > maxExact || exact < -maxExact) r.fail("a decimal beyond 2^53");
  return Number(exact);
}
