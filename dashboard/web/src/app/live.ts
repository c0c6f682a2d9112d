import { HubClock } from "../core/clock";
import { Connection } from "../core/connection";
import { Frames } from "../core/frame";
import { ChatStore } from "../core/state/chat";
import { DeviceStore } from "../core/state/devices";
import { HubStore } from "../core/state/hub";
import { Ticker, ViewStore } from "../core/state/view";
import { preferences } from "./preferences";

/** The parts that live as long as the page. */
export const frames = new Frames();
export const clock = new HubClock();
export const ticker = new Ticker(frames);
export const devices = new DeviceStore(frames);
export const hub = new HubStore(frames);
export const chat = new ChatStore(frames);
export const view = new ViewStore(frames, clock, () => devices.events);
export const connection = new Connection({
  url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`,
  client: "pulso-dashboard/0.1.0",
  frames,
  clock,
  name: () => preferences.name,
});

/** start joins what every screen needs: the hub's figures, who is there, and the chat. */
export function start(): void {
  view.attach(devices);
  view.attach(hub);
  connection.join(
    { filters: ["#"], form: "hub" },
    {
      frame: (frame, snapshot) => {
        if (frame.hub !== undefined) clock.observe(frame.hub.time);
        hub.apply(frame, snapshot);
      },
    },
  );
  connection.join({ filters: ["#"], form: "devices" }, { frame: (frame, snapshot) => devices.apply(frame, snapshot) });
  connection.join({ filters: ["chat/+"], form: "chat" }, { frame: (frame, snapshot) => chat.apply(frame, snapshot) });
  ticker.start();
  connection.connect();
  window.addEventListener("online", () => connection.wake());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") connection.wake();
  });
}
