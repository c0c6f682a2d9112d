// The Protocol Buffers wire format (protobuf.dev/programming-guides/encoding), as much of it as pulso.v1 uses: a reader that
// trusts nothing and a writer. Neither knows a schema; proto.ts does.

/**
 * ProtoError says what is wrong with bytes that are no message of pulso.v1, and where: at which byte, in which message and
 * field. The readers here throw nothing else.
 */
export class ProtoError extends Error {
  override readonly name = "ProtoError";

  constructor(
    readonly what: string,
    /** at is the byte's index in the whole message. */
    readonly at: number,
    /** where is the path of messages and the number of the field: "Message.Frame.Event field 4". */
    readonly where: string,
  ) {
    super(`${what} at byte ${at}, ${where}`);
  }
}

/** WireType is how a field is written; 3 and 4, groups, are in no version of pulso.v1. */
export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const digits = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

const twoTo32 = 2 ** 32;

// A byte order mark is a character like others: a device's payload may begin with it.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** shortText is the length in bytes up to which a loop reads ASCII faster than the decoder does. */
const shortText = 24;

/**
 * Reader goes through the fields of a message, and into those of the messages in it:
 *
 *     while (r.next()) {
 *       switch (r.field) {
 *         case 1: name = r.string(); break;
 *         case 2: r.open("Inner"); inner = readInner(r); break; // which loops over next itself
 *         default: r.skip();
 *       }
 *     }
 *
 * Each field must be read or skipped, once. It reads within the bounds of the innermost message only, and each call of next
 * takes at least one byte: there is no input that it does not come to an end with.
 */
export class Reader {
  readonly bytes: Uint8Array;
  pos: number;
  /** field and type are of the field that next found. */
  field = 0;
  type = 0;
  /** lo and hi are the 64 bits of the number that varint64 or zigzag64 read last; hi is signed. */
  lo = 0;
  hi = 0;
  #view: DataView | undefined;
  #end: number;
  #ends: number[] = [];
  #names: string[];

  constructor(bytes: Uint8Array, name: string, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.pos = start;
    this.#end = end;
    this.#names = [name];
  }

  fail(what: string, at = this.pos): never {
    throw new ProtoError(what, at, this.#names.join(".") + (this.field > 0 ? ` field ${this.field}` : ""));
  }

  /** more reports whether the innermost message goes on. */
  get more(): boolean {
    return this.pos < this.#end;
  }

  /** next goes to the next field. At the end of a message it leaves it, and returns false. */
  next(): boolean {
    if (this.pos >= this.#end) {
      const end = this.#ends.pop();
      this.field = 0;
      if (end !== undefined) {
        this.#end = end;
        this.#names.pop();
      }
      return false;
    }
    const at = this.pos;
    this.field = 0;
    const tag = this.varint32();
    this.field = tag >>> 3;
    this.type = tag & 7;
    if (this.field === 0) this.fail("field number 0", at);
    return true;
  }

  /** open goes into the message that the field is; name is for errors. */
  open(name: string): void {
    const end = this.length();
    this.#ends.push(this.#end);
    this.#names.push(name);
    this.#end = end;
    this.field = 0;
  }

  /** skip passes over a field that is not known. */
  skip(): void {
    if (this.type === WireType.varint) this.varint64();
    else if (this.type === WireType.fixed64) this.#fixed(8);
    else if (this.type === WireType.bytes) this.pos = this.length();
    else if (this.type === WireType.fixed32) this.#fixed(4);
    else this.fail(`wire type ${this.type}`);
  }

  /** expect fails where the field is not written as the schema says. */
  expect(type: number): void {
    if (this.type !== type) this.fail(`wire type ${this.type} instead of ${type}`);
  }

  /** length reads the length of a field of bytes, and returns where it ends. */
  length(): number {
    this.expect(WireType.bytes);
    const at = this.pos;
    const length = this.varint32();
    if (length > this.#end - this.pos) this.fail(`length ${length} where ${this.#end - this.pos} bytes are left`, at);
    return this.pos + length;
  }

  string(): string {
    const end = this.length();
    const start = this.pos;
    this.pos = end;
    if (end - start <= shortText) {
      let text = "";
      let i = start;
      for (; i < end; i++) {
        const c = this.bytes[i];
        if (c > 127) break;
        text += String.fromCharCode(c);
      }
      if (i === end) return text;
    }
    try {
      return utf8.decode(this.bytes.subarray(start, end));
    } catch {
      return this.fail("text that is not UTF-8", start);
    }
  }

  /** base64 reads bytes as base64 text (RFC 4648, 4). */
  base64(): string {
    const end = this.length();
    const { bytes } = this;
    const size = end - this.pos;
    const out = new Uint8Array(Math.ceil(size / 3) * 4).fill(61); // "="
    for (let i = this.pos, at = 0; i < end; i += 3, at += 4) {
      const left = end - i;
      const n = (bytes[i] << 16) | (left > 1 ? bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
      out[at] = digits[n >> 18];
      out[at + 1] = digits[(n >> 12) & 63];
      if (left > 1) out[at + 2] = digits[(n >> 6) & 63];
      if (left > 2) out[at + 3] = digits[n & 63];
    }
    this.pos = end;
    return utf8.decode(out);
  }

  bool(): boolean {
    this.expect(WireType.varint);
    this.varint64();
    return (this.lo | this.hi) !== 0;
  }

  uint32(): number {
    this.expect(WireType.varint);
    return this.varint32();
  }

  /** uint64 reads a count. Above 2^53 it is rounded to the nearest number that there is, as JSON.parse does. */
  uint64(): number {
    this.expect(WireType.varint);
    this.varint64();
    return (this.hi >>> 0) * twoTo32 + (this.lo >>> 0);
  }

  /** name64 reads a number that names something: one that must be told from its neighbour, at most 2^53 - 1. */
  name64(): number {
    const at = this.pos;
    const n = this.uint64();
    if (n > Number.MAX_SAFE_INTEGER) this.fail("a number above 2^53 that names something", at);
    return n;
  }

  /** int64 reads a time or the like, rounded as by uint64. */
  int64(): number {
    this.expect(WireType.varint);
    this.varint64();
    return this.hi * twoTo32 + (this.lo >>> 0);
  }

  double(): number {
    this.expect(WireType.fixed64);
    return this.float64();
  }

  /** float64 reads 8 bytes that need not be a field. */
  float64(): number {
    this.#fixed(8);
    const { buffer, byteOffset, byteLength } = this.bytes;
    this.#view ??= new DataView(buffer, byteOffset, byteLength);
    return this.#view.getFloat64(this.pos - 8, true);
  }

  /** varint32 reads a number below 2^32 that need not be a field. */
  varint32(): number {
    if (this.pos < this.#end) {
      const first = this.bytes[this.pos];
      if (first < 128) {
        this.pos++;
        return first;
      }
    }
    const at = this.pos;
    this.varint64();
    if (this.hi !== 0) this.fail("a number of more than 32 bits", at);
    return this.lo >>> 0;
  }

  /** varint64 reads a number into lo and hi. */
  varint64(): void {
    const { bytes } = this;
    const start = this.pos;
    const end = Math.min(this.#end, start + 10);
    let lo = 0;
    let hi = 0;
    for (let i = start; i < end; i++) {
      const b = bytes[i];
      const bits = b & 127;
      const shift = (i - start) * 7;
      if (shift < 28) lo |= bits << shift;
      else if (shift === 28) {
        lo |= bits << 28;
        hi = bits >>> 4;
      } else hi |= bits << (shift - 32);
      if (b > 127) continue;
      if (shift === 63 && b > 1) break;
      this.pos = i + 1;
      this.lo = lo;
      this.hi = hi;
      return;
    }
    this.fail(end - start === 10 ? "a number of more than 64 bits" : "the end inside of a number", start);
  }

  /**
   * zigzag64 reads a signed number that need not be a field. The result is rounded above 2^53; lo and hi have it exactly.
   */
  zigzag64(): number {
    const { bytes, pos } = this;
    if (pos + 3 < this.#end) {
      // Nearly all are short.
      let n = bytes[pos];
      let size = 1;
      if (n > 127) {
        n = (n & 127) | (bytes[pos + 1] << 7);
        size = 2;
        if (n > 16383) {
          n = (n & 16383) | (bytes[pos + 2] << 14);
          size = 3;
          if (n > 2097151) {
            n = (n & 2097151) | (bytes[pos + 3] << 21);
            size = 4;
          }
        }
      }
      if (n < 268435456) {
        this.pos = pos + size;
        this.lo = (n >>> 1) ^ -(n & 1);
        this.hi = this.lo >> 31;
        return this.lo;
      }
    }
    this.varint64();
    const sign = -(this.lo & 1);
    this.lo = ((this.lo >>> 1) | (this.hi << 31)) ^ sign;
    this.hi = (this.hi >>> 1) ^ sign;
    return this.hi * twoTo32 + (this.lo >>> 0);
  }

  /** big is the number that varint64 (of a signed field) or zigzag64 read last, exactly. */
  big(): bigint {
    return (BigInt(this.hi) << 32n) | BigInt(this.lo >>> 0);
  }

  #fixed(size: number): void {
    if (this.#end - this.pos < size) this.fail(`the end inside of ${size} bytes`);
    this.pos += size;
  }
}

/** Writer builds a message, field by field. As in proto3, fields that are 0, false or empty are left out. */
export class Writer {
  #bytes = new Uint8Array(128);
  #length = 0;

  /** finish returns what was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** uint writes a whole number from 0 to 2^53 - 1; name is for the error if it is none. */
  uint(field: number, value: number, name: string): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`${name} is ${value}, not a whole number from 0`);
    if (value === 0) return;
    this.#varint(field * 8 + WireType.varint);
    this.#varint(value);
  }

  /** uints writes a list of such numbers, packed; nothing where it is empty. */
  uints(field: number, values: readonly number[], name: string): void {
    if (values.length === 0) return;
    const inner = new Writer();
    for (const value of values) {
      if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} has ${value}`);
      inner.#varint(value);
    }
    this.bytes(field, inner.finish());
  }

  bool(field: number, value: boolean): void {
    if (value) this.uint(field, 1, "");
  }

  double(field: number, value: number): void {
    if (value === 0) return;
    this.#varint(field * 8 + WireType.fixed64);
    this.#grow(8);
    new DataView(this.#bytes.buffer).setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  string(field: number, value: string): void {
    if (value !== "") this.bytes(field, new TextEncoder().encode(value));
  }

  /** bytes writes the field even if it is empty: one of several, or an element of a list. */
  bytes(field: number, value: Uint8Array): void {
    this.#varint(field * 8 + WireType.bytes);
    this.#varint(value.length);
    this.#grow(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** message writes the field even if the message is empty. */
  message(field: number, write: (inner: Writer) => void): void {
    const inner = new Writer();
    write(inner);
    this.bytes(field, inner.finish());
  }

  #varint(value: number): void {
    this.#grow(8);
    for (; value > 127; value = Math.floor(value / 128)) this.#bytes[this.#length++] = (value % 128) | 128;
    this.#bytes[this.#length++] = value;
  }

  #grow(size: number): void {
    if (this.#length + size <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(this.#length + size, this.#bytes.length * 2));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }
}
