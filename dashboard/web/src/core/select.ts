import { type DeviceStore, statuses } from "./state/devices";
import type { Status } from "./wire/types";

export type SortKey = "name" | "status" | "value" | "rate" | "age";

export interface Selection {
  text: string;
  /** status: "alerting" is all of whom there is an alert. */
  status: Status | "alerting" | "";
  kind: string;
  sort: SortKey;
  descending: boolean;
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/**
 * Directory keeps what sorting and filtering need of each device (its place by name, its text in lower case), made anew
 * only when devices come, go or change their names: comparing ten thousand names for each keystroke would be felt.
 */
export class Directory {
  readonly #store: DeviceStore;
  #generation = -1;
  #rank = new Int32Array(0);
  #text: string[] = [];

  constructor(store: DeviceStore) {
    this.#store = store;
  }

  /** select is the indexes of the devices to list, in order. */
  select(selection: Selection): number[] {
    this.#refresh();
    const store = this.#store;
    const wanted = selection.text.trim().toLowerCase();
    const { status } = selection;
    const list: number[] = [];
    for (let i = 0; i < store.count; i++) {
      if (status !== "" && (status === "alerting" ? !isAlerting(store, i) : store.status(i) !== status)) continue;
      if (selection.kind !== "" && store.device(i).kind !== selection.kind) continue;
      if (wanted !== "" && !this.#text[i].includes(wanted)) continue;
      list.push(i);
    }
    return list.sort(this.#comparison(selection));
  }

  #refresh(): void {
    const store = this.#store;
    if (store.generation === this.#generation) return;
    this.#generation = store.generation;
    const label = (i: number) => store.device(i).name || store.device(i).id;
    const labels = Array.from({ length: store.count }, (_, i) => label(i));
    const order = labels.map((_, i) => i).sort((a, b) => collator.compare(labels[a], labels[b]) || a - b);
    this.#rank = new Int32Array(order.length);
    order.forEach((index, rank) => {
      this.#rank[index] = rank;
    });
    this.#text = labels.map((text, i) => `${text}\n${store.device(i).id}\n${store.device(i).kind}`.toLowerCase());
  }

  #comparison({ sort, descending }: Selection): (a: number, b: number) => number {
    const { columns } = this.#store;
    const rank = this.#rank;
    const sign = descending ? -1 : 1;
    const byNumber = (of: (i: number) => number) => (a: number, b: number) => {
      const x = of(a);
      const y = of(b);
      // What is unknown stands last in both directions.
      if (Number.isNaN(x) || Number.isNaN(y))
        return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || rank[a] - rank[b];
      return sign * (x - y) || rank[a] - rank[b];
    };
    switch (sort) {
      case "name":
        return (a, b) => sign * (rank[a] - rank[b]);
      case "status":
        return byNumber((i) => columns.status[i]);
      case "value":
        return byNumber((i) => columns.value[i]);
      case "rate":
        return byNumber((i) => columns.rate[i]);
      case "age":
        return byNumber((i) => -columns.time[i]);
    }
  }
}

/** isAlerting reports that a device is silent, or sends what is not understood: alertsOf tells of it. */
export function isAlerting({ columns: { status, undecodable } }: DeviceStore, index: number): boolean {
  const is = statuses[status[index]];
  return is === "stale" || is === "offline" || undecodable[index] > 0;
}

export interface Totals {
  alerting: number;
  online: number;
  stale: number;
  offline: number;
  kinds: Map<string, number>;
}

/** totals counts the devices by status and by kind. */
export function totals(store: DeviceStore): Totals {
  const counts = [0, 0, 0];
  let alerting = 0;
  const kinds = new Map<string, number>();
  const { status } = store.columns;
  for (let i = 0; i < store.count; i++) {
    if (status[i] < counts.length) counts[status[i]]++;
    if (isAlerting(store, i)) alerting++;
    const { kind } = store.device(i);
    if (kind !== "") kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return { online: counts[0], stale: counts[1], offline: counts[2], alerting, kinds };
}
