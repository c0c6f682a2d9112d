import { connection, frames } from "../app/live";
import { SeriesStore } from "../core/state/series";
import type { Series, Subscribe } from "../core/wire/types";

/** Points kept of each series on a device's page: at ten a second almost seven minutes, at one a second more than an hour. */
const capacity = 4_096;
/** Series that are drawn on one page. */
const limit = 48;

/** Frames a second, and newest events that come first. */
const rate = 10;
const history = 600;

interface Tracks {
  store: SeriesStore;
  /** pause lets it rest while none of it is on the screen. */
  pause: (paused: boolean) => void;
  close: () => void;
}

/** joinTracks follows the numbers of a device, or of a topic, or those of them that are wanted; close ends it. */
export function joinTracks(of: Pick<Subscribe, "filters" | "devices">, wanted?: (series: Series) => boolean): Tracks {
  const store = new SeriesStore(frames, capacity, limit, wanted);
  const subscription = connection.join(
    { ...of, form: "values", delivery: "latest", rate, history },
    { frame: (frame, snapshot) => store.apply(frame, snapshot) },
  );
  return { store, pause: (paused) => subscription.pause(paused), close: () => subscription.close() };
}
