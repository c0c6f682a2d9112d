/**
 * The binary form of the stream, pulso.v1.proto: what the hub sends becomes the same values as from the JSON form (types.ts), a
 * command becomes bytes. proto/pulso/v1/stream.proto is the truth. Nothing is needed but this folder: see README.md in it.
 *
 *     const socket = new WebSocket(url, [subprotocol]);
 *     socket.binaryType = "arraybuffer";
 *     socket.onopen = () => socket.send(encodeCommand({ id: 1, subscribe: { filters: ["#"], form: "values" } }));
 *     socket.onmessage = ({ data }) => show(parse(data));
 *
 * What is promised of decode:
 * - Any bytes are decoded or fail with a ProtoError that says what and where. It takes time and memory in proportion to the
 *   bytes: no length that stands in them is believed before the bytes are there.
 * - Fields that are not known are passed over, as v1 only grows. A known field that is not written as the schema says, text
 *   that is not UTF-8, columns that don't fit each other, and numbers wider than their field are errors. A message that
 *   should stand once and stands twice counts as it stands last; Values add up, each beginning anew.
 * - Positions are text. Numbers that name something (id, room) are exact or an error. Counts and times above 2^53 are rounded
 *   as JSON.parse rounds them; those of Values are exact or an error.
 * - As of the JSON form, a number that was not told is NaN, and a row that says nothing which can be shown (a status that is
 *   not known, a value that is not finite) is left out of its frame.
 */

import { ProtoError, Reader, WireType } from "./protobuf";
import { read, type Schema, schemaOf } from "./schema";
import type * as wire from "./types";
import { readValues } from "./values";
import { readChat, readDevice, readHub, readSeries, readStatus, readTopic, readTopicActivity } from "./views";

export { encodeCommand } from "./commands";
export { ProtoError } from "./protobuf";

/** subprotocol names the binary form in the WebSocket handshake. */
export const subprotocol = "pulso.v1.proto";

/** parse reads one message of the hub as decode does, and never throws: bytes that are no message come back as `bad`. */
export function parse(data: Uint8Array | ArrayBuffer): wire.Message {
  try {
    return decode(data);
  } catch (error) {
    if (error instanceof ProtoError) return { kind: "bad", reason: error.message };
    throw error;
  }
}

/** decode reads one message of the hub, a `Message` of the schema. It throws ProtoError and nothing else. */
export function decode(data: Uint8Array | ArrayBuffer): wire.Message {
  const r = new Reader(data instanceof Uint8Array ? data : new Uint8Array(data), "Message");
  let id = 0;
  let room = 0;
  let reply: wire.Reply | undefined;
  // The room's number may stand behind what concerns it.
  let inRoom: ((room: number) => wire.Message) | undefined;
  while (r.next()) {
    switch (r.field) {
      case 1:
        id = r.name64();
        break;
      case 2:
        room = r.name64();
        break;
      case 9:
      case 10: {
        const snapshot = r.field === 9;
        const frame = readFrame(r);
        inRoom = (room) => ({ kind: "frame", room, snapshot, frame });
        reply = undefined;
        break;
      }
      case 11: {
        const missing = read(r, gap);
        inRoom = (room) => ({ kind: "gap", room, gap: missing });
        reply = undefined;
        break;
      }
      case 13: {
        const watching = readViewers(r);
        inRoom = (room) => ({ kind: "viewers", room, viewers: watching });
        reply = undefined;
        break;
      }
      default: {
        const found = readReply(r);
        if (found === undefined) break;
        reply = found;
        inRoom = undefined;
      }
    }
  }
  if (inRoom !== undefined) return inRoom(room);
  if (reply !== undefined) return { kind: "reply", id, reply };
  return r.fail("no message that is known");
}

type Welcome = Extract<wire.Reply, { type: "welcome" }>;
type Subscribed = Extract<wire.Reply, { type: "subscribed" }>;
type Changed = Extract<wire.Reply, { type: "changed" }>;

/** replies are the schemas of the replies by the numbers of their fields in Message. */
const replies: Record<number, Schema<wire.Reply>> = {
  3: schemaOf<Welcome>("Welcome", "session:string node:string version:string now:int64", { type: "welcome" }),
  4: schemaOf<Subscribed>("Subscribed", "room:name64 position:string recovered:bool reason:string", {
    type: "subscribed",
  }),
  5: schemaOf<wire.Reply>("Unsubscribed", "room:name64", { type: "unsubscribed" }),
  6: schemaOf<wire.Reply>("Published", "position:string", { type: "published" }),
  7: schemaOf<wire.Reply>("Pong", "now:int64", { type: "pong" }),
  12: schemaOf<Changed>("Changed", "from:name64 room:name64 position:string recovered:bool reason:string", {
    type: "changed",
  }),
};
const failure = schemaOf<wire.WireError>("Error", "code:string message:string retry:bool");
const gap = schemaOf<wire.Gap>("Gap", "from:string to:string events:uint64 reason:string");
const viewers = schemaOf<wire.Viewers>("Viewers", "count:uint32 sampled:bool");
const viewer = schemaOf<wire.Viewer>("Viewer", "session:string name:string transport:string since:int64");

function readReply(r: Reader): wire.Reply | undefined {
  if (r.field === 8) return { type: "error", error: read(r, failure) };
  const schema = replies[r.field];
  if (schema !== undefined) return read(r, schema);
  r.skip();
  return undefined;
}

function readViewers(r: Reader): wire.Viewers {
  const into: wire.Viewers = { ...viewers.blank, present: [], joined: [], left: [] };
  return read(r, viewers, into, ({ present, joined, left }) => {
    if (r.field === 3) present.push(read(r, viewer));
    else if (r.field === 4) joined.push(read(r, viewer));
    else if (r.field === 5) left.push(r.string());
    else r.skip();
  });
}

function readFrame(r: Reader): wire.Frame {
  r.open("Frame");
  const frame: wire.Frame = {
    position: "",
    events: [],
    series: [],
    values: [],
    removed: [],
    devices: [],
    status: [],
    topics: [],
    activity: [],
    hub: undefined,
    chat: undefined,
    truncated: false,
    arrived: 0,
  };
  while (r.next()) {
    if (r.field === 1) frame.position = r.string();
    else if (r.field === 2) frame.events.push(readEvent(r));
    else if (r.field === 3) frame.series.push(readSeries(r));
    else if (r.field === 4) readValues(r, frame.values);
    else if (r.field === 5) frame.devices.push(readDevice(r));
    else if (r.field === 6) {
      const status = readStatus(r);
      if (status !== undefined) frame.status.push(status);
    } else if (r.field === 7) frame.topics.push(readTopic(r));
    else if (r.field === 8) frame.activity.push(readTopicActivity(r));
    else if (r.field === 9) frame.hub = readHub(r);
    else if (r.field === 10) frame.chat = readChat(r);
    else if (r.field === 11) frame.truncated = r.bool();
    else if (r.field === 12) readRemoved(r, frame.removed);
    else if (r.field === 13) frame.arrived = r.int64();
    else r.skip();
  }
  return frame;
}

/** readRemoved reads numbers that stand in one field, or in one each. */
function readRemoved(r: Reader, removed: number[]): void {
  if (r.type === WireType.varint) {
    removed.push(r.uint32());
    return;
  }
  const end = r.length();
  while (r.pos < end) removed.push(r.varint32());
  if (r.pos > end) r.fail("a number that ends behind its field");
}

// Of events there are many: read by hand they take half as long.
function readEvent(r: Reader): wire.Event {
  r.open("Event");
  const event: wire.Event = {
    topic: "",
    device: "",
    time: 0,
    payload: "",
    encoding: "text",
    error: "",
    count: 1,
    will: false,
  };
  while (r.next()) {
    if (r.field === 1) event.topic = r.string();
    else if (r.field === 2) event.device = r.string();
    else if (r.field === 3) event.time = r.int64();
    else if (r.field === 4) {
      event.payload = r.string();
      event.encoding = "json";
    } else if (r.field === 5) {
      event.payload = r.string();
      event.encoding = "text";
    } else if (r.field === 6) {
      event.payload = r.base64();
      event.encoding = "base64";
    } else if (r.field === 7) event.error = r.string();
    else if (r.field === 8) event.count = Math.max(r.uint32(), 1);
    else if (r.field === 9) event.will = r.bool();
    else r.skip();
  }
  return event;
}
