import { type Frames, Store } from "../frame";
import { SeriesRing } from "../rings";
import type { Frame, Series } from "../wire/types";

/** Track is one series with its newest points. */
export interface Track {
  /** key names the series across reconnects, where its number may change. */
  key: string;
  meta: Series;
  ring: SeriesRing;
  /** wholeSince is the time from which on the ring has all that came, ms; before it, points may be missing. */
  wholeSince: number;
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
  #snapshots = 0;
  readonly #wanted: (series: Series) => boolean;

  /** capacity is points a series; limit is series in all. Series that are not wanted are passed over. */
  constructor(frames: Frames, capacity: number, limit: number, wanted: (series: Series) => boolean = () => true) {
    super(frames);
    this.#wanted = wanted;
    this.#capacity = capacity;
    this.#limit = limit;
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  /** snapshots is how often the subscription began anew. */
  get snapshots(): number {
    return this.#snapshots;
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
      this.#snapshots++;
    }
    for (const series of frame.series) this.#announce(series);
    const joins = new Set<Track>();
    const seen = snapshot ? new Map(this.list().map((track) => [track, track.ring.newestTime])) : undefined;
    for (const row of frame.values) {
      const track = this.#byNumber.get(row[0]);
      if (track === undefined) continue;
      const known = seen?.get(track);
      if (known !== undefined) {
        // A snapshot that reaches back to what is known leaves no hole; one that does not has left one before its first point.
        if (row[1] <= known) {
          joins.add(track);
          continue;
        }
        if (!joins.has(track)) track.wholeSince = row[1];
        joins.add(track);
      }
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
    if (!this.#wanted(series)) return;
    const key = `${series.device}\n${series.topic}\n${series.name}`;
    let track = this.#tracks.get(key);
    if (track === undefined) {
      if (this.#tracks.size >= this.#limit) {
        if (this.#refused.size < 10_000) this.#refused.add(key);
        return;
      }
      track = { key, meta: series, ring: new SeriesRing(this.#capacity), wholeSince: Number.NEGATIVE_INFINITY };
      this.#tracks.set(key, track);
      this.#byDevice.set(series.device, [...this.of(series.device), track]);
    }
    track.meta = series;
    this.#byNumber.set(series.series, track);
  }
}
