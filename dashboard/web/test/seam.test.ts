import { describe, expect, it } from "vitest";
import { shifted, trackData } from "../src/charts/range";
import type { Api, PastQuery, PastSeries } from "../src/core/api";
import { Frames } from "../src/core/frame";
import { SeriesRing } from "../src/core/rings";
import { joined, type Past } from "../src/core/seam";
import { HistoryStore } from "../src/core/state/history";
import { SeriesStore } from "../src/core/state/series";
import type { Series } from "../src/core/wire/types";
import { frameOf } from "./frames";

const frames = new Frames((run) => run());
const series: Series = { series: 1, device: "d", name: "a", unit: "", topic: "t" };

/** random is a generator that a failing case can be repeated with (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

type Sample = [time: number, value: number];

/** pastOf is what the hub answers: the samples themselves, or steps that begin at whole multiples. */
function pastOf(samples: Sample[], step: number, until: number): Past {
  const rows: [number, number, number, number][] = [];
  for (const [time, value] of samples) {
    const at = step > 0 ? time - (time % step) : time;
    const row = rows.at(-1);
    if (step > 0 && row?.[0] === at)
      rows[rows.length - 1] = [at, Math.min(row[1], value), Math.max(row[2], value), value];
    else rows.push([at, value, value, value]);
  }
  const column = (i: number) => Float64Array.from(rows, (row) => row[i]);
  return { times: column(0), min: column(1), max: column(2), last: column(3), step, until };
}

/** later lets what waits for a promise run. */
const later = async () => {
  for (let i = 0; i < 8; i++) await Promise.resolve();
};

/** hubOf answers as a hub that has kept these samples when it is asked. */
function hubOf(kept: () => Sample[], step = 0) {
  const asked: PastQuery[] = [];
  const release: (() => void)[] = [];
  const history = async (query: PastQuery, signal?: AbortSignal): Promise<PastSeries[]> => {
    asked.push(query);
    const found = kept().filter(([time]) => time >= query.from && time <= query.to);
    await new Promise<void>((resolve) => release.push(resolve));
    if (signal?.aborted) throw new Error("aborted");
    if (found.length === 0) return [];
    return [{ topic: "t", field: "a", unit: "", ...pastOf(found, step, 0) }];
  };
  const answer = async () => {
    for (const go of release.splice(0)) go();
    await later();
  };
  return { api: { history } as unknown as Api, asked, answer };
}

describe("the joint of the past and the live points", () => {
  it("has every sample once and in order, however they come", async () => {
    for (let seed = 0; seed < 200; seed++) {
      const below = random(seed);
      let time = 1_000_000;
      let value = 0;
      const all: Sample[] = [];
      const speak = () => {
        time += 1 + below(4000);
        all.push([time, value++]);
        return all[all.length - 1];
      };
      for (let i = below(300); i >= 0; i--) speak();
      // The screen joins with some of the newest in its snapshot, and the history of the hub lags behind what it has sent.
      const store = new SeriesStore(frames, 4096, 8);
      const snapshot = all.slice(-1 - below(all.length));
      store.apply(frameOf({ series: [series], values: snapshot.map(([at, v]) => [1, at, v]) }), true);
      const lag = below(3);
      const hub = hubOf(() => all.slice(0, Math.max(1, all.length - Math.min(lag, snapshot.length - 1))));
      const past = new HistoryStore(frames, hub.api, "d");
      const follow = () =>
        past.follow({ from: 0, to: time, now: time, points: 600, tracks: store.list(), renewed: store.snapshots });
      const live = () => {
        const [at, v] = speak();
        store.apply(frameOf({ values: [[1, at, v]] }), false);
      };
      follow();
      for (let i = below(20); i > 0; i--) live(); // between the request and the answer
      await hub.answer();
      for (let i = below(200); i > 0; i--) {
        live();
        follow();
        if (below(4) === 0) await hub.answer();
      }
      await hub.answer();
      const [track] = store.list();
      const points = joined(past.of(series), track.ring, 0, time);
      expect([...points.times], `seed ${seed}`).toEqual(all.map(([at]) => at));
      expect([...points.last], `seed ${seed}`).toEqual(all.map(([, v]) => v));
    }
  });

  it("keeps every minimum and maximum where the past is in steps, and its steps and the live points don't overlap", async () => {
    for (let seed = 0; seed < 100; seed++) {
      const below = random(seed);
      const step = 1_000 * (1 + below(20));
      let time = 5_000_000;
      const all: Sample[] = [];
      const speak = () => {
        time += 200 + below(3000);
        all.push([time, below(1_000_000) - 500_000]);
        return all[all.length - 1];
      };
      for (let i = 200 + below(300); i > 0; i--) speak();
      const store = new SeriesStore(frames, 4096, 8);
      const newest = all.slice(-60 - below(100));
      store.apply(frameOf({ series: [series], values: newest.map(([at, v]) => [1, at, v]) }), true);
      const hub = hubOf(() => all.filter(([at]) => at < time - 3_000), step);
      const past = new HistoryStore(frames, hub.api, "d");
      past.follow({ from: 0, to: time, now: time, points: 600, tracks: store.list(), renewed: store.snapshots });
      for (let i = below(20); i > 0; i--) {
        const [at, v] = speak();
        store.apply(frameOf({ values: [[1, at, v]] }), false);
      }
      await hub.answer();
      const [track] = store.list();
      const points = joined(past.of(series), track.ring, 0, time);
      const values = all.map(([, v]) => v);
      expect(Math.min(...points.min), `seed ${seed}`).toBe(Math.min(...values));
      expect(Math.max(...points.max), `seed ${seed}`).toBe(Math.max(...values));
      expect([...points.times]).toEqual([...points.times].sort((a, b) => a - b));
      const until = past.of(series)?.until ?? 0;
      const behind = all.filter(([at]) => at >= until).map(([at]) => at);
      expect([...points.times].slice(-behind.length), `seed ${seed}`).toEqual(behind);
    }
  });

  it("is a view of the ring where there is no past, and of the past where the range is before the ring", () => {
    const ring = new SeriesRing(8);
    ring.push(100, 1);
    ring.push(200, 2);
    expect([...joined(undefined, ring, 150, 300).times]).toEqual([100, 200]);
    const past = pastOf(
      [
        [10, 1],
        [20, 2],
        [30, 3],
        [100, 1],
      ],
      0,
      101,
    );
    expect([...joined(past, ring, 15, 25).times]).toEqual([10, 20, 30]);
    expect([...joined(past, ring, 0, 400).times]).toEqual([10, 20, 30, 100, 200]);
    expect(joined(past, ring, 0, 400).conflated).toBe(false);
  });

  it("leaves a gap where the device was silent, and draws a switch in steps", () => {
    const store = new SeriesStore(frames, 64, 8);
    store.apply(frameOf({ series: [series] }), true);
    for (let i = 0; i < 5; i++) store.apply(frameOf({ values: [[1, 100_000 + i * 1000, i % 2]] }), false);
    const past = pastOf(
      [...Array(20)].map((_, i) => [i * 1000, i % 2] as Sample),
      0,
      20_000,
    );
    const data = trackData(store.list()[0], past, { from: 0, to: 110_000, held: false }, "--series-1");
    expect(data.gapAfter).toBe(2500);
    expect(data.lines[0].steps).toBe(true);
    store.apply(frameOf({ values: [[1, 105_000, 7]] }), false);
    expect(trackData(store.list()[0], past, { from: 0, to: 110_000, held: false }, "").lines[0].steps).toBe(false);
  });
});

describe("a range", () => {
  it("moves by half of itself, and is now where it would end there", () => {
    const range = { from: 1_000, to: 2_000, held: true };
    expect(shifted(range, -1, 2_000)).toEqual({ from: 500, to: 1_500 });
    expect(shifted(range, 1, 9_000)).toEqual({ from: 1_500, to: 2_500 });
    expect(shifted(range, 1, 2_540)).toBeUndefined();
    expect(shifted(range, 1, 2_000)).toBeUndefined();
  });
});

describe("HistoryStore", () => {
  const wish = (part: object = {}) => ({
    from: 0,
    to: 100_000,
    now: 100_000,
    points: 600,
    tracks: [],
    renewed: 1,
    ...part,
  });

  it("asks once for what it has, again for what reaches further back, after a loss, and now and then", async () => {
    const hub = hubOf(() => [[50_000, 1]]);
    const past = new HistoryStore(frames, hub.api, "d");
    past.follow(wish({ from: 10_000 }));
    past.follow(wish({ from: 10_000 }));
    expect(past.loading).toBe(true);
    await hub.answer();
    expect(past.loading).toBe(false);
    expect(hub.asked).toEqual([{ device: "d", fields: [], from: 5_500, to: 94_999, points: 600 }]);
    past.follow(wish({ from: 12_000, to: 102_000, now: 102_000 }));
    expect(hub.asked).toHaveLength(1);
    past.follow(wish({ from: 5_000 }));
    await hub.answer();
    expect(hub.asked).toHaveLength(2);
    past.follow(wish({ from: 5_000, renewed: 2 }));
    await hub.answer();
    expect(hub.asked).toHaveLength(3);
    past.follow(wish({ from: 6_000, renewed: 2, now: 170_000, to: 170_000 }));
    expect(hub.asked).toHaveLength(4);
  });

  it("does not ask for a range in the past again, unless what it has is too coarse for it", async () => {
    const hub = hubOf(
      () => [
        [10_000, 1],
        [10_500, 2],
        [60_000, 3],
      ],
      5_000,
    );
    const past = new HistoryStore(frames, hub.api, "d");
    past.follow(wish());
    await hub.answer();
    past.follow(wish({ from: 10_000, to: 90_000 }));
    expect(hub.asked).toHaveLength(1);
    past.follow(wish({ from: 10_000, to: 20_000 }));
    expect(hub.asked.at(-1)).toMatchObject({ from: 9_500, to: 20_500 });
  });

  it("puts what stands for a step at its end, and not beyond where the live points begin", async () => {
    const hub = hubOf(
      () => [
        [10_000, 1],
        [90_000, 3],
      ],
      5_000,
    );
    const past = new HistoryStore(frames, hub.api, "d");
    past.follow(wish());
    await hub.answer();
    expect([...(past.of(series)?.times ?? [])]).toEqual([15_000, 95_000]);
    expect(past.of(series)?.until).toBe(95_000);
  });

  it("drops the answer to a question that has been replaced", async () => {
    let kept: Sample[] = [[1_000, 1]];
    const hub = hubOf(() => kept);
    const past = new HistoryStore(frames, hub.api, "d");
    past.follow(wish({ from: 20_000 }));
    kept = [
      [100, 0],
      [1_000, 1],
    ];
    past.follow(wish({ from: 0 }));
    await hub.answer();
    expect([...(past.of(series)?.times ?? [])]).toEqual([100, 1_000]);
  });

  it("says what failed, keeps what it has, and tries again later", async () => {
    let fails = true;
    let calls = 0;
    const api = {
      history: async () => {
        calls++;
        if (fails) throw new Error("the disk is full");
        return [];
      },
    } as unknown as Api;
    const past = new HistoryStore(frames, api, "d");
    past.follow(wish());
    await later();
    expect(past.problem?.message).toContain("the disk is full");
    past.follow(wish({ now: 101_000 }));
    expect(calls).toBe(1);
    fails = false;
    past.follow(wish({ now: 103_000 }));
    await later();
    expect(calls).toBe(2);
    expect(past.problem).toBeUndefined();
  });

  it("begins behind the hole that a lost connection has left", async () => {
    const store = new SeriesStore(frames, 64, 8);
    store.apply(frameOf({ series: [series], values: [[1, 1_000, 1]] }), true);
    store.apply(
      frameOf({
        series: [series],
        values: [
          [1, 98_000, 8],
          [1, 99_000, 9],
        ],
      }),
      true,
    );
    const kept: Sample[] = [
      [1_000, 1],
      [50_000, 5],
      [97_000, 7],
      [98_000, 8],
    ];
    const hub = hubOf(() => kept);
    const past = new HistoryStore(frames, hub.api, "d");
    past.follow(wish({ tracks: store.list(), renewed: store.snapshots }));
    await hub.answer();
    const [track] = store.list();
    expect(hub.asked[0].to).toBe(97_999);
    expect([...joined(past.of(series), track.ring, 0, 100_000).times]).toEqual([1_000, 50_000, 97_000, 98_000, 99_000]);
  });
});
