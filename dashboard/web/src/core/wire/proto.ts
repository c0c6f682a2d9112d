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
        const gap = readGap(r);
        inRoom = (room) => ({ kind: "gap", room, gap });
        reply = undefined;
        break;
      }
      case 13: {
        const viewers = readViewers(r);
        inRoom = (room) => ({ kind: "viewers", room, viewers });
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

function readReply(r: Reader): wire.Reply | undefined {
  switch (r.field) {
    case 3:
      return readWelcome(r);
    case 4:
      return readSubscribed(r);
    case 5:
      return readUnsubscribed(r);
    case 6:
      return readPublished(r);
    case 7:
      return readPong(r);
    case 8:
      return { type: "error", error: readError(r) };
    case 12:
      return readChanged(r);
    default:
      r.skip();
      return undefined;
  }
}

function readWelcome(r: Reader): wire.Reply {
  r.open("Welcome");
  const welcome = { type: "welcome" as const, session: "", node: "", version: "", now: 0 };
  while (r.next()) {
    if (r.field === 1) welcome.session = r.string();
    else if (r.field === 2) welcome.node = r.string();
    else if (r.field === 3) welcome.version = r.string();
    else if (r.field === 4) welcome.now = r.int64();
    else r.skip();
  }
  return welcome;
}

function readSubscribed(r: Reader): wire.Reply {
  r.open("Subscribed");
  const subscribed = { type: "subscribed" as const, room: 0, position: "", recovered: false, reason: "" };
  while (r.next()) {
    if (r.field === 1) subscribed.room = r.name64();
    else if (r.field === 2) subscribed.position = r.string();
    else if (r.field === 3) subscribed.recovered = r.bool();
    else if (r.field === 4) subscribed.reason = r.string();
    else r.skip();
  }
  return subscribed;
}

function readChanged(r: Reader): wire.Reply {
  r.open("Changed");
  const changed = { type: "changed" as const, from: 0, room: 0, position: "", recovered: false, reason: "" };
  while (r.next()) {
    if (r.field === 1) changed.from = r.name64();
    else if (r.field === 2) changed.room = r.name64();
    else if (r.field === 3) changed.position = r.string();
    else if (r.field === 4) changed.recovered = r.bool();
    else if (r.field === 5) changed.reason = r.string();
    else r.skip();
  }
  return changed;
}

function readUnsubscribed(r: Reader): wire.Reply {
  r.open("Unsubscribed");
  let room = 0;
  while (r.next()) {
    if (r.field === 1) room = r.name64();
    else r.skip();
  }
  return { type: "unsubscribed", room };
}

function readPublished(r: Reader): wire.Reply {
  r.open("Published");
  let position = "";
  while (r.next()) {
    if (r.field === 1) position = r.string();
    else r.skip();
  }
  return { type: "published", position };
}

function readPong(r: Reader): wire.Reply {
  r.open("Pong");
  let now = 0;
  while (r.next()) {
    if (r.field === 1) now = r.int64();
    else r.skip();
  }
  return { type: "pong", now };
}

function readError(r: Reader): wire.WireError {
  r.open("Error");
  const error = { code: "", message: "", retry: false };
  while (r.next()) {
    if (r.field === 1) error.code = r.string();
    else if (r.field === 2) error.message = r.string();
    else if (r.field === 3) error.retry = r.bool();
    else r.skip();
  }
  return error;
}

function readGap(r: Reader): wire.Gap {
  r.open("Gap");
  const gap = { from: "", to: "", events: 0, reason: "" };
  while (r.next()) {
    if (r.field === 1) gap.from = r.string();
    else if (r.field === 2) gap.to = r.string();
    else if (r.field === 3) gap.events = r.uint64();
    else if (r.field === 4) gap.reason = r.string();
    else r.skip();
  }
  return gap;
}

function readViewers(r: Reader): wire.Viewers {
  r.open("Viewers");
  const viewers: wire.Viewers = { count: 0, sampled: false, present: [], joined: [], left: [] };
  while (r.next()) {
    if (r.field === 1) viewers.count = r.uint32();
    else if (r.field === 2) viewers.sampled = r.bool();
    else if (r.field === 3) viewers.present.push(readViewer(r));
    else if (r.field === 4) viewers.joined.push(readViewer(r));
    else if (r.field === 5) viewers.left.push(r.string());
    else r.skip();
  }
  return viewers;
}

function readViewer(r: Reader): wire.Viewer {
  r.open("Viewer");
  const viewer = { session: "", name: "", transport: "", since: 0 };
  while (r.next()) {
    if (r.field === 1) viewer.session = r.string();
    else if (r.field === 2) viewer.name = r.string();
    else if (r.field === 3) viewer.transport = r.string();
    else if (r.field === 4) viewer.since = r.int64();
    else r.skip();
  }
  return viewer;
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
