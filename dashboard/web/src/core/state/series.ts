import { type Frames, Store } from "../frame";
import { SeriesRing } from "../rings";
import type { Frame, Series } from "../wire/types";

/** Track is one series with its newest points. */
export interface Track {
  /** key names the series across reconnects, where its number may change. */
  key: string;
  meta: Series;
  ring: SeriesRing;
}

/**
 * SeriesStore holds the points of the series that one part of the screen shows. Frames of a renewed or replaced
 * subscription are merged by time: points at or before the newest known one are not repeated.
 */
export class SeriesStore extends Store {
  readonly #capacity: number;
  readonly #limit: number;
  #tracks = new Map<string, Track>();
  #byNumber = new Map<number, Track>();
  #byDevice = new Map<string, Track[]>();
  #refused = new Set<string>();
  #loaded = false;

  /** capacity is points a series; limit is series in all. */
  constructor(frames: Frames, capacity: number, limit: number) {
    super(frames);
    this.#capacity = capacity;
    this.#limit = limit;
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  /** refused is how many series there are beyond the limit. */
  get refused(): number {
    return this.#refused.size;
  }

  /** list is all series, in the order in which they were announced. */
  list(): Track[] {
    return [...this.#tracks.values()];
  }

  of(device: string): Track[] {
    return this.#byDevice.get(device) ?? [];
  }

  apply(frame: Frame, snapshot: boolean): void {
    if (snapshot) {
      this.#byNumber.clear();
      this.#loaded = true;
    }
    for (const series of frame.series) this.#announce(series);
    let seen: Map<Track, number> | undefined;
    if (snapshot) seen = new Map(this.list().map((track) => [track, track.ring.newestTime]));
    for (const row of frame.values) {
      const track = this.#byNumber.get(row[0]);
      if (track === undefined) continue;
      const known = seen?.get(track);
      if (known !== undefined && row[1] <= known) continue;
      if (row.length === 6) track.ring.push(row[1], row[2], row[3], row[4]);
      else track.ring.push(row[1], row[2]);
    }
    this.changed();
  }

  /** retain forgets the series of all devices but these. */
  retain(devices: ReadonlySet<string>): void {
    for (const [key, track] of this.#tracks) {
      if (devices.has(track.meta.device)) continue;
      this.#tracks.delete(key);
      this.#byNumber.delete(track.meta.series);
      this.#byDevice.delete(track.meta.device);
    }
  }

  #announce(series: Series): void {
    const key = `${series.device}\n${series.topic}\n${series.name}`;
    let track = this.#tracks.get(key);
    if (track === undefined) {
      if (this.#tracks.size >= this.#limit) {
        if (this.#refused.size < 10_000) this.#refused.add(key);
        return;
      }
      track = { key, meta: series, ring: new SeriesRing(this.#capacity) };
      this.#tracks.set(key, track);
      this.#byDevice.set(series.device, [...this.of(series.device), track]);
    }
    track.meta = series;
    this.#byNumber.set(series.series, track);
  }
}
