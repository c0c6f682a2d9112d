import { untrack } from "svelte";
import { clock, connection, devices, hub, losses, view } from "../app/live";
import { journey } from "../app/past";
import { watch } from "../app/watch";
import { type Alerts, alertsOf } from "../core/state/alerts";

const known = watch(devices);
const figures = watch(hub);
const lost = watch(losses);
/** What was made of these is for all who show it. */
let made: { of: readonly unknown[]; alerts: Alerts } | undefined;

/** alerts is what needs attention; who reads it runs again with the hub's figures, each second, and when the list of devices is another. */
export function alerts(): Alerts {
  const of = [figures().latest, known().generation, lost().version];
  if (made === undefined || of.some((part, i) => part !== made?.of[i])) {
    // This browser's clock, and what it loses, say nothing of the past.
    const here = journey === undefined && !connection.elsewhere;
    const browser = { losses: here ? losses.rows : [], offset: here ? clock.offset : 0 };
    made = { of, alerts: untrack(() => alertsOf(hub.latest, devices, browser, view.now())) };
  }
  return made.alerts;
}
