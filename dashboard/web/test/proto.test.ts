import { describe, expect, it } from "vitest";
import commandsText from "../../../bridge/wire/testdata/commands.json?raw";
import vectorsText from "../../../bridge/wire/testdata/vectors.json?raw";
import { decode, encodeCommand, ProtoError, parse } from "../src/core/wire/proto";
import type { Command, Frame } from "../src/core/wire/types";
import { parse as parseJson } from "./json";

interface Vector {
  name: string;
  json: string;
  proto: string;
}

const vectors: Vector[] = JSON.parse(vectorsText);
const commands: Vector[] = JSON.parse(commandsText);

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) | 128, ...varint(Math.floor(n / 128))]);
/** field writes bytes, scalar a number, packed a column, inFrame a whole message. */
const field = (number: number, bytes: number[]): number[] => [
  ...varint(number * 8 + 2),
  ...varint(bytes.length),
  ...bytes,
];
const scalar = (number: number, value: number): number[] => [...varint(number * 8), ...varint(value)];
const inFrame = (...fields: number[][]): Uint8Array => Uint8Array.from([...scalar(2, 7), ...field(10, fields.flat())]);

function frameOf(bytes: Uint8Array): Frame {
  const message = decode(bytes);
  if (message.kind !== "frame") throw new Error(`not a frame but ${message.kind}`);
  return message.frame;
}

function failureOf(bytes: Uint8Array): ProtoError {
  try {
    decode(bytes);
  } catch (error) {
    if (error instanceof ProtoError) return error;
    throw error;
  }
  throw new Error("it was decoded");
}

describe("the binary form", () => {
  it.each(vectors)("says the same as the JSON form: $name", ({ json, proto }) => {
    const message = parse(bytesOf(proto));
    expect(message.kind).not.toBe("bad");
    expect(message).toStrictEqual(parseJson(json));
  });

  it.each(commands)("writes commands: $name", ({ json, proto }) => {
    expect([...encodeCommand(JSON.parse(json) as Command)]).toEqual([...bytesOf(proto)]);
  });

  it("takes an ArrayBuffer, and bytes that stand in the middle of one", () => {
    const bytes = bytesOf(vectors[0].proto);
    const padded = new Uint8Array(bytes.length + 20).fill(255);
    padded.set(bytes, 9);
    expect(decode(padded.subarray(9, 9 + bytes.length))).toEqual(decode(bytes.buffer));
  });

  it("passes over fields that it does not know", () => {
    const unknown = [
      ...scalar(99, 2 ** 50),
      ...field(100, [1, 2, 3]),
      ...varint(101 * 8 + 1),
      ...new Array(8).fill(255),
      ...varint(102 * 8 + 5),
      ...new Array(4).fill(255),
    ];
    for (const { proto } of vectors) {
      const bytes = bytesOf(proto);
      expect(decode(Uint8Array.from([...unknown, ...bytes, ...unknown]))).toEqual(decode(bytes));
    }
    expect(frameOf(inFrame(unknown, field(2, [...unknown, ...field(1, [97])]), unknown)).events[0].topic).toBe("a");
  });

  it("has binary payloads as base64, whatever their length", () => {
    for (let size = 0; size < 9; size++) {
      const bytes = Array.from({ length: size }, (_, i) => (i * 89 + 251) % 256);
      const { payload, encoding } = frameOf(inFrame(field(2, field(6, bytes)))).events[0];
      expect([payload, encoding]).toEqual([btoa(String.fromCharCode(...bytes)), "base64"]);
    }
  });

  it("rounds counts and times above 2^53 as JSON.parse does", () => {
    for (const n of [2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 53n + 3n, 2n ** 63n + 1025n, 2n ** 64n - 1n]) {
      const bytes: number[] = [];
      for (let rest = n; bytes.length === 0 || rest > 0n; rest >>= 7n)
        bytes.push(Number(rest & 127n) + (rest > 127n ? 128 : 0));
      const gap = decode(Uint8Array.from([...scalar(2, 7), ...field(11, [3 * 8, ...bytes])]));
      expect(gap).toEqual(parseJson(`{"room":7,"gap":{"events":${n}}}`));
      const pong = decode(Uint8Array.from([...scalar(1, 7), ...field(7, [8, ...bytes])]));
      expect(pong).toEqual(parseJson(`{"id":7,"pong":{"now":${BigInt.asIntN(64, n)}}}`));
    }
  });

  it("refuses commands that the schema has no numbers for", () => {
    for (const id of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => encodeCommand({ id, ping: {} })).toThrow(RangeError);
    const publish = { topic: "a", payload: undefined, qos: 0 } as const;
    expect(() => encodeCommand({ id: 1, publish })).toThrow(TypeError);
  });
});

describe("columns", () => {
  const columns = {
    time: scalar(1, 1000),
    series: [2, 2, 1],
    times: [0, 20, 19],
    kinds: [2, 16, 0],
    decimals: [...varint(4268), 6, 4, 10, 9],
    counts: [3],
  };
  const rows = [
    [1, 1000, 21.34],
    [2, 1010, 3, 1, 8, 3],
    [1, 1000, -5],
  ];

  it("come packed, in parts, or an element at a time", () => {
    const { time, series, times, kinds, decimals, counts } = columns;
    const packed = [field(2, series), field(3, times), field(4, kinds), field(5, decimals), field(7, counts)];
    expect(frameOf(inFrame(field(4, [...time, ...packed.flat()]))).values).toEqual(rows);

    const parts = [
      field(5, decimals.slice(0, 2)),
      field(5, []),
      ...series.map((n) => scalar(2, n)),
      field(3, times.slice(0, 1)),
      ...times.slice(1).map((n) => scalar(3, n)),
      field(4, kinds.slice(0, 2)),
      field(5, decimals.slice(2)),
      field(4, kinds.slice(2)),
      scalar(7, 3),
      time,
    ];
    expect(frameOf(inFrame(field(4, parts.flat()))).values).toEqual(rows);
  });

  it("of several Values follow each other, each beginning anew", () => {
    const one = field(4, [...scalar(1, 5), ...field(2, [4]), ...field(3, [2]), ...field(4, [1]), ...field(5, [3])]);
    expect(frameOf(inFrame(one, one)).values).toEqual([
      [2, 6, -0.2],
      [2, 6, -0.2],
    ]);
  });

  it("of doubles come unpacked, too, and what is not finite is left out", () => {
    const double = (v: number): number[] => [...new Uint8Array(new Float64Array([v]).buffer)];
    const doubles = [1.5, Number.NaN, -0, Number.POSITIVE_INFINITY];
    const rest = [field(2, [2, 0, 0, 0]), field(3, [0, 0, 0, 0]), field(4, [15, 15, 15, 15])].flat();
    const unpacked = doubles.flatMap((v) => [6 * 8 + 1, ...double(v)]);
    const want = [
      [1, 0, 1.5],
      [1, 0, -0],
    ];
    expect(frameOf(inFrame(field(4, [...rest, ...unpacked]))).values).toStrictEqual(want);
    expect(frameOf(inFrame(field(4, [...rest, ...field(6, doubles.flatMap(double))]))).values).toStrictEqual(want);
  });

  it.each<[string, number[][], RegExp]>([
    [
      "too few series",
      [field(4, [0]), field(3, [0]), field(5, [0])],
      /end inside of a number at byte \d+, Values.series/,
    ],
    [
      "too many times",
      [field(4, [0]), field(2, [0]), field(3, [0, 0]), field(5, [0])],
      /more elements .* Values.times/,
    ],
    ["too few decimals", [field(4, [16]), field(2, [0]), field(3, [0]), field(5, [0, 0])], /Values.decimals/],
    ["too few counts", [field(4, [16]), field(2, [0]), field(3, [0]), field(5, [0, 0, 0])], /Values.counts/],
    ["too few doubles", [field(4, [15]), field(2, [0]), field(3, [0])], /end inside of 8 bytes .* Values.doubles/],
    ["no kind", [field(4, [32]), field(2, [0]), field(3, [0])], /kind 32 .* Values.kinds/],
    ["a part of a double", [field(6, [1, 2, 3, 4])], /part that ends inside of an element .*Values field 6/],
    ["a part of a number", [field(5, [128])], /part that ends inside of an element .*Values field 5/],
    [
      "a decimal that is not exact",
      [field(4, [0]), field(2, [0]), field(3, [0]), field(5, varint(2 ** 55))],
      /decimal beyond 2\^53/,
    ],
    [
      "a time that is not exact",
      [field(4, [0]), field(2, [0]), field(3, varint(2 ** 55)), field(5, [0])],
      /time beyond 2\^53/,
    ],
  ])("that don't fit are an error: %s", (_, fields, message) => {
    expect(failureOf(inFrame(field(4, fields.flat()))).message).toMatch(message);
  });
});

describe("bytes that are no message", () => {
  it.each<[string, number[], string, number, string]>([
    ["nothing", [], "no message that is known", 0, "Message"],
    ["an id alone", scalar(1, 7), "no message that is known", 2, "Message"],
    ["a field of number 0", [0], "field number 0", 0, "Message"],
    ["a group", [11 * 8 + 3], "wire type 3 instead of 2", 1, "Message field 11"],
    ["an unknown group", [15 * 8 + 3], "wire type 3", 1, "Message field 15"],
    ["a number cut off", [8, 128, 128], "the end inside of a number", 1, "Message field 1"],
    ["a number too long", [8, ...new Array(10).fill(128), 1], "a number of more than 64 bits", 1, "Message field 1"],
    ["a number too large", [8, ...new Array(9).fill(255), 2], "a number of more than 64 bits", 1, "Message field 1"],
    ["an id above 2^53", scalar(1, 2 ** 53), "a number above 2^53 that names something", 1, "Message field 1"],
    ["a length that is not there", [8 * 8 + 2, 5, 1], "length 5 where 1 bytes are left", 1, "Message field 8"],
    [
      "a length of 4 GiB",
      [8 * 8 + 2, 255, 255, 255, 255, 15],
      "length 4294967295 where 0 bytes are left",
      1,
      "Message field 8",
    ],
    [
      "a length beyond its message",
      [8 * 8 + 2, 2, 10, 9, 97, 97],
      "length 9 where 0 bytes are left",
      3,
      "Message.Error field 1",
    ],
    ["text that is no UTF-8", field(8, field(1, [97, 0xff])), "text that is not UTF-8", 4, "Message.Error field 1"],
    ["a field of the wrong type", field(8, scalar(1, 5)), "wire type 0 instead of 2", 3, "Message.Error field 1"],
  ])("say what is wrong, and where: %s", (_, bytes, what, at, where) => {
    const { what: gotWhat, at: gotAt, where: gotWhere } = failureOf(Uint8Array.from(bytes));
    expect([gotWhat, gotAt, gotWhere]).toEqual([what, at, where]);
    expect(parse(Uint8Array.from(bytes))).toEqual({ kind: "bad", reason: `${what} at byte ${at}, ${where}` });
  });

  it("are decoded or a ProtoError, whatever they are", () => {
    const random = generator(1);
    const seeds = vectors.map((v) => bytesOf(v.proto)).filter((bytes) => bytes.length < 4000);
    let failures = 0;
    for (let round = 0; round < 20_000; round++) {
      let bytes = seeds[Math.floor(random() * seeds.length)].slice();
      if (random() < 0.1)
        bytes = Uint8Array.from({ length: Math.floor(random() * 60) }, () => Math.floor(random() * 256));
      for (let change = Math.floor(random() * 6); change > 0 && bytes.length > 0; change--) {
        const at = Math.floor(random() * bytes.length);
        const way = random();
        if (way < 0.2) bytes = bytes.slice(0, at);
        else if (way < 0.4) bytes = Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at >> 1)]);
        else bytes[at] = way < 0.6 ? 255 : Math.floor(random() * 256);
      }
      // decode may throw a ProtoError only: parse lets everything else through.
      const message = parse(bytes);
      if (message.kind === "bad") failures++;
      else if (message.kind === "frame") expect(message.frame.values.length).toBeLessThanOrEqual(bytes.length);
    }
    expect(failures).toBeGreaterThan(1000);
    expect(failures).toBeLessThan(19_000);
  });

  it("cut anywhere, are an error or a message that says less", () => {
    for (const { proto } of vectors.filter((v) => v.proto.length < 2000)) {
      const bytes = bytesOf(proto);
      for (let length = 0; length < bytes.length; length++) {
        const message = parse(bytes.subarray(0, length));
        // Whatever is cut inside of the innermost message is an error; what remains are the fields before it.
        if (message.kind !== "bad") expect(message).not.toEqual(decode(bytes));
      }
    }
  });
});

/** generator is Marsaglia's xorshift32, from 0 to 1. */
function generator(state: number): () => number {
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
