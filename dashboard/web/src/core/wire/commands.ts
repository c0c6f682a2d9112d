import { Writer } from "./protobuf";
import type { Command, Hello, Publish, PublishBytes, PublishText, Subscribe } from "./types";

const forms = { events: 1, values: 2, devices: 3, topics: 4, hub: 5, chat: 6 } as const;
const deliveries = { every: 1, latest: 2 } as const;

/**
 * encodeCommand writes a command as a `Command` of the schema, for one binary message. It throws a RangeError where a number
 * is none that the schema has, a TypeError where a payload is nothing that JSON can say, and an error of atob's where
 * payload_base64 is no base64.
 */
export function encodeCommand(command: Command): Uint8Array<ArrayBuffer> {
  const w = new Writer();
  w.uint(1, command.id, "id");
  if ("hello" in command) w.message(2, (inner) => writeHello(inner, command.hello));
  else if ("subscribe" in command) w.message(3, (inner) => writeSubscribe(inner, command.subscribe));
  else if ("unsubscribe" in command) w.message(4, (inner) => inner.uint(1, command.unsubscribe.room, "room"));
  else if ("publish" in command) w.message(5, (inner) => writePublish(inner, command.publish));
  else if ("ping" in command) w.message(6, () => {});
  else if ("painted" in command) w.message(8, (inner) => inner.uints(1, command.painted.counts, "counts"));
  else {
    const { room, subscribe } = command.change;
    w.message(7, (inner) => {
      inner.uint(1, room, "room");
      inner.message(2, (innermost) => writeSubscribe(innermost, subscribe));
    });
  }
  return w.finish();
}

function writeHello(w: Writer, hello: Hello): void {
  w.string(1, hello.token ?? "");
  w.string(2, hello.client ?? "");
  w.string(3, hello.name ?? "");
}

function writeSubscribe(w: Writer, subscribe: Subscribe): void {
  const { filters, form, delivery, rate = 0, from = "", history = 0, devices = [], viewers = false } = subscribe;
  for (const filter of filters) w.bytes(1, new TextEncoder().encode(filter));
  w.uint(2, forms[form], "form");
  if (delivery !== undefined) w.uint(3, deliveries[delivery], "delivery");
  w.double(4, rate);
  w.string(5, from);
  w.uint(6, history, "history");
  for (const device of devices) w.bytes(7, new TextEncoder().encode(device));
  w.bool(8, viewers);
}

function writePublish(w: Writer, publish: Publish | PublishText | PublishBytes): void {
  w.string(1, publish.topic);
  w.uint(5, publish.qos, "qos");
  w.bool(6, publish.retain ?? false);
  if ("payload_text" in publish) w.bytes(3, new TextEncoder().encode(publish.payload_text));
  else if ("payload_base64" in publish) {
    w.bytes(
      4,
      Uint8Array.from(atob(publish.payload_base64), (c) => c.charCodeAt(0)),
    );
  } else {
    const json: string | undefined = JSON.stringify(publish.payload);
    if (json === undefined) throw new TypeError("payload is nothing that JSON can say");
    w.bytes(2, new TextEncoder().encode(json));
  }
}
