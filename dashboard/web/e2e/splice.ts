import { Reader, Writer } from "../src/core/wire/protobuf";

/** intoHub adds fields to what the hub says of itself in a message of the binary form; other messages stay as they are. */
export function intoHub(message: string | Buffer, add: (hub: Writer) => void): Buffer {
  const more = new Writer();
  add(more);
  const frames = [9, 10];
  const hub = 9;
  return splice(Buffer.from(message as Buffer), [frames, [hub]], Buffer.from(more.finish()));
}

/** splice appends to the messages that a path of field numbers leads to. */
function splice(bytes: Buffer, path: number[][], more: Buffer): Buffer {
  if (path.length === 0) return Buffer.concat([bytes, more]);
  const r = new Reader(bytes, "Message");
  const parts: Buffer[] = [];
  for (let start = 0; r.next(); start = r.pos) {
    const { field } = r;
    if (!path[0].includes(field)) {
      r.skip();
      parts.push(bytes.subarray(start, r.pos));
      continue;
    }
    const end = r.length();
    const w = new Writer();
    w.bytes(field, splice(bytes.subarray(r.pos, end), path.slice(1), more));
    parts.push(Buffer.from(w.finish()));
    r.pos = end;
  }
  return Buffer.concat(parts);
}
