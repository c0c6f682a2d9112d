import { connection, frames } from "../app/live";
import { SeriesStore } from "../core/state/series";
import type { Subscribe } from "../core/wire/types";

/** Points kept of each series on a device's page: at ten a second almost seven minutes, at one a second more than an hour. */
const capacity = 4_096;
/** Series that are drawn on one page. */
const limit = 48;

/** Frames a second, and newest events that come first. */
const rate = 10;
const history = 600;

/** joinTracks follows the numbers of a device, or of a topic; close ends it. */
export function joinTracks(of: Pick<Subscribe, "filters" | "devices">): { store: SeriesStore; close: () => void } {
  const store = new SeriesStore(frames, capacity, limit);
  const subscription = connection.join(
    { ...of, form: "values", delivery: "latest", rate, history },
    { frame: (frame, snapshot) => store.apply(frame, snapshot) },
  );
  return { store, close: () => subscription.close() };
}
