import { HubClock } from "../core/clock";
import { Connection } from "../core/connection";
import { Frames } from "../core/frame";
import { PaintMeter } from "../core/paint";
import { ChatStore } from "../core/state/chat";
import { DeviceStore } from "../core/state/devices";
import { HubStore } from "../core/state/hub";
import { LossStore } from "../core/state/losses";
import { Ticker, ViewStore } from "../core/state/view";
import { journey, pastPath } from "./past";
import { preferences } from "./preferences";

/** The parts that live as long as the page. */
export const frames = new Frames();
export const clock = new HubClock();
if (journey !== undefined) clock.run(journey.speed, journey.asked, journey.range?.to);
export const ticker = new Ticker(frames);
export const devices = new DeviceStore(frames);
export const hub = new HubStore(frames);
export const chat = new ChatStore(frames);
export const view = new ViewStore(frames, clock, () => (devices.loaded ? devices.events : Number.NaN));
/** losses is what this browser did not take in. */
export const losses = new LossStore(frames, () => clock.now());
const paint = new PaintMeter({
  now: () => clock.now(),
  shown: () => !document.hidden && !view.paused && !connection.elsewhere,
});
export const connection: Connection = new Connection({
  client: "pulso-dashboard/0.1.0",
  frames,
  clock,
  name: () => preferences.name,
  path: () =>
    journey === undefined
      ? "/ws"
      : pastPath(connection.session === 0 ? journey.asked : clock.now(), journey.speed, journey.range?.to),
  arrived: (time) => paint.arrived(time),
  lost: (what) => losses.note(what),
});

/** What was painted is told this often, ms. */
const reportEvery = 5_000;
/** A tab that is hidden for so long gets no telemetry until it is seen again, ms. */
const sleepAfter = 30_000;

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
  connection.join(
    { filters: ["#"], form: "devices" },
    {
      frame: (frame, snapshot) => {
        devices.apply(frame, snapshot);
        losses.reach("beyond", devices.refused);
      },
    },
  );
  connection.join({ filters: ["chat/+"], form: "chat" }, { frame: (frame, snapshot) => chat.apply(frame, snapshot) });
  ticker.start();
  connection.connect();
  window.addEventListener("online", () => connection.wake());
  let sleep: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(sleep);
    paint.skip();
    if (document.hidden) sleep = setTimeout(() => connection.sleep(true), sleepAfter);
    else {
      connection.sleep(false);
      connection.wake();
    }
  });
  const reports = setInterval(async () => {
    const counts = paint.take();
    if (counts.length > 0 && !(await connection.report(counts))) clearInterval(reports);
  }, reportEvery);
}
