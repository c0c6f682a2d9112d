/**
 * SeriesRing holds the newest points of one series. Each column is written twice, at i and at i + capacity, so that the
 * points in order are always one contiguous view and drawing copies nothing.
 *
 * Minimum and maximum are kept apart from the last value only from the first point that stands for several; until then
 * they are the last value, and cost no memory.
 */
export class SeriesRing {
  readonly capacity: number;
  readonly #time: Float64Array;
  readonly #last: Float64Array;
  #min: Float64Array | undefined;
  #max: Float64Array | undefined;
  #head = 0;
  #length = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#time = new Float64Array(2 * capacity);
    this.#last = new Float64Array(2 * capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** conflated reports that some point stands for several, so that min and max differ from last. */
  get conflated(): boolean {
    return this.#min !== undefined;
  }

  get newestTime(): number {
    return this.#length === 0 ? Number.NEGATIVE_INFINITY : this.#time[this.#head + this.capacity - 1];
  }

  get oldestTime(): number {
    return this.#length === 0 ? Number.POSITIVE_INFINITY : this.times(0, 1)[0];
  }

  get newest(): number {
    return this.#length === 0 ? Number.NaN : this.#last[this.#head + this.capacity - 1];
  }

  /** push appends a point; one that is older than the newest is refused, since drawing needs ascending times. */
  push(time: number, last: number, min = last, max = last): boolean {
    if (time < this.newestTime) return false;
    if (this.#min === undefined && (min !== last || max !== last)) {
      this.#min = this.#last.slice();
      this.#max = this.#last.slice();
    }
    const at = this.#head;
    const mirror = at + this.capacity;
    this.#time[at] = this.#time[mirror] = time;
    this.#last[at] = this.#last[mirror] = last;
    if (this.#min !== undefined && this.#max !== undefined) {
      this.#min[at] = this.#min[mirror] = min;
      this.#max[at] = this.#max[mirror] = max;
    }
    this.#head = at + 1 === this.capacity ? 0 : at + 1;
    if (this.#length < this.capacity) this.#length++;
    return true;
  }

  clear(): void {
    this.#head = 0;
    this.#length = 0;
  }

  /** times, lasts, mins and maxs are views in time order, valid until the next push. */
  times(from = 0, to = this.#length): Float64Array {
    return this.#view(this.#time, from, to);
  }

  lasts(from = 0, to = this.#length): Float64Array {
    return this.#view(this.#last, from, to);
  }

  mins(from = 0, to = this.#length): Float64Array {
    return this.#view(this.#min ?? this.#last, from, to);
  }

  maxs(from = 0, to = this.#length): Float64Array {
    return this.#view(this.#max ?? this.#last, from, to);
  }

  /** lowerBound is the index of the first point at or after time; length when there is none. */
  lowerBound(time: number): number {
    return lowerBound(this.times(), time);
  }

  /** valueAt is the last value at or before time, whole ms; NaN when there is none. */
  valueAt(time: number): number {
    const after = this.lowerBound(time + 0.5);
    return after === 0 ? Number.NaN : this.lasts()[after - 1];
  }

  #view(column: Float64Array, from: number, to: number): Float64Array {
    const start = this.#head - this.#length + (this.#head < this.#length ? this.capacity : 0);
    return column.subarray(start + from, start + to);
  }
}

/** lowerBound is the index of the first time at or after another, of ascending ones; the length where there is none. */
export function lowerBound(times: ArrayLike<number>, time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
