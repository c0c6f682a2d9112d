import { Store } from "../frame";
import type { Frame } from "../wire/types";

/** Nodes of the tree beyond this are counted, not kept. */
export const nodeLimit = 150_000;

export interface TopicNode {
  index: number;
  /** name of this level; path from the root. */
  name: string;
  path: string;
  depth: number;
  parent: TopicNode | undefined;
  children: Map<string, TopicNode>;
  /** topics at or below this node that have been published to. */
  topics: number;
  isTopic: boolean;
  device: string;
}

/** TopicColumns are the live figures of each node, summed over what is below it. */
export interface TopicColumns {
  events: Float64Array;
  rate: Float64Array;
  /** time of the newest message, ms; 0 for never. */
  time: Float64Array;
  bytes: Float64Array;
  preview: string[];
}

/** TopicStore is the tree of all topics with their activity. */
export class TopicStore extends Store {
  #root: TopicNode = node(0, "", "", -1, undefined);
  #nodes = 1;
  #live = columns(256);
  #frozen: TopicColumns | undefined;
  #byNumber = new Map<number, TopicNode>();
  #generation = 0;
  #epoch = 0;
  #loaded = false;
  #refused = 0;

  get loaded(): boolean {
    return this.#loaded;
  }

  get root(): TopicNode {
    return this.#root;
  }

  /** epoch changes when the tree has begun anew: nodes of before are no longer part of it. */
  get epoch(): number {
    return this.#epoch;
  }

  /** generation changes when nodes are added. */
  get generation(): number {
    return this.#generation;
  }

  get count(): number {
    return this.#root.topics;
  }

  /** refused counts topics beyond the limit. */
  get refused(): number {
    return this.#refused;
  }

  get columns(): TopicColumns {
    return this.#frozen ?? this.#live;
  }

  freeze(frozen: boolean): void {
    if (frozen === (this.#frozen !== undefined)) return;
    const { events, rate, time, bytes, preview } = this.#live;
    this.#frozen = frozen
      ? {
          events: events.slice(),
          rate: rate.slice(),
          time: time.slice(),
          bytes: bytes.slice(),
          preview: preview.slice(),
        }
      : undefined;
    this.changed();
  }

  find(path: string): TopicNode | undefined {
    let at: TopicNode | undefined = this.#root;
    for (const name of path.split("/")) at = at?.children.get(name);
    return at;
  }

  apply(frame: Frame, snapshot: boolean): void {
    if (snapshot) {
      this.#byNumber.clear();
      this.#loaded = true;
      this.#refused = 0;
      const known = frame.topics.reduce((sum, topic) => sum + Number(this.find(topic.name)?.isTopic ?? false), 0);
      if (known < this.count) this.#reset();
    }
    for (const topic of frame.topics) {
      const leaf = this.#insert(topic.name);
      if (leaf === undefined) {
        this.#refused++;
        continue;
      }
      leaf.device = topic.device;
      this.#byNumber.set(topic.topic, leaf);
    }
    for (const row of frame.activity) {
      const leaf = this.#byNumber.get(row.topic);
      if (leaf !== undefined) this.#count(leaf, row.time, row.events, row.rate, row.bytes, row.preview);
    }
    this.changed();
  }

  /** reset begins anew: the hub has forgotten topics, and what is below a level could not be told from what was. */
  #reset(): void {
    this.#root = node(0, "", "", -1, undefined);
    this.#nodes = 1;
    this.#live = columns(256);
    this.#frozen = undefined;
    this.#epoch++;
    this.#generation++;
  }

  #count(leaf: TopicNode, time: number, events: number, rate: number, bytes: number, preview: string): void {
    const live = this.#live;
    const moreEvents = (events || 0) - own(live.events, leaf);
    const moreRate = (rate || 0) - own(live.rate, leaf);
    live.bytes[leaf.index] = bytes;
    live.preview[leaf.index] = preview;
    for (let at: TopicNode | undefined = leaf; at !== undefined; at = at.parent) {
      live.events[at.index] += moreEvents;
      live.rate[at.index] = Math.max(0, live.rate[at.index] + moreRate);
      if (time > live.time[at.index]) live.time[at.index] = time;
    }
  }

  /** insert makes the nodes of a topic; undefined when there is no room. */
  #insert(name: string): TopicNode | undefined {
    const known = this.find(name);
    if (known?.isTopic) return known;
    const levels = name.split("/");
    if (this.#nodes + levels.length > nodeLimit) return undefined;
    let at = this.#root;
    for (const level of levels) {
      let child = at.children.get(level);
      if (child === undefined) {
        const path = at === this.#root ? level : `${at.path}/${level}`;
        child = node(this.#nodes++, level, path, at.depth + 1, at);
        at.children.set(level, child);
      }
      at = child;
    }
    if (this.#nodes > this.#live.events.length) this.#grow();
    at.isTopic = true;
    for (let up: TopicNode | undefined = at; up !== undefined; up = up.parent) up.topics++;
    this.#generation++;
    return at;
  }

  #grow(): void {
    const larger = columns(2 * this.#nodes);
    const live = this.#live;
    larger.events.set(live.events);
    larger.rate.set(live.rate);
    larger.time.set(live.time);
    larger.bytes.set(live.bytes);
    larger.preview = live.preview;
    this.#live = larger;
  }
}

/** own is a leaf's figure without what is below it: a topic may have topics under it. */
function own(column: Float64Array, leaf: TopicNode): number {
  let value = column[leaf.index];
  for (const child of leaf.children.values()) value -= column[child.index];
  return value;
}

/** TopicRow is a row of the tree: a node, after the levels above it that have nothing else in them. */
export interface TopicRow {
  node: TopicNode;
  label: string;
  indent: number;
}

/**
 * flatten lists the rows on the screen: the children of each open node, sorted by name. A level with a single child and no
 * messages of its own is joined with it ("boiler/telemetry"), so that the rows say more.
 */
export function flatten(root: TopicNode, isOpen: (node: TopicNode) => boolean, filter = ""): TopicRow[] {
  const rows: TopicRow[] = [];
  const wanted = filter.toLowerCase();
  const matches = (at: TopicNode): boolean => {
    if (at.path.toLowerCase().includes(wanted)) return true;
    for (const child of at.children.values()) if (matches(child)) return true;
    return false;
  };
  const visit = (parent: TopicNode, indent: number) => {
    const children = [...parent.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const child of children) {
      if (wanted !== "" && !matches(child)) continue;
      let last = child;
      while (!last.isTopic && last.children.size === 1) last = last.children.values().next().value as TopicNode;
      rows.push({
        node: last,
        label: child === last ? child.name : child.name + last.path.slice(child.path.length),
        indent,
      });
      if (last.children.size > 0 && (wanted !== "" || isOpen(last))) visit(last, indent + 1);
    }
  };
  visit(root, 0);
  return rows;
}

function node(index: number, name: string, path: string, depth: number, parent: TopicNode | undefined): TopicNode {
  return { index, name, path, depth, parent, children: new Map(), topics: 0, isTopic: false, device: "" };
}

function columns(length: number): TopicColumns {
  return {
    events: new Float64Array(length),
    rate: new Float64Array(length),
    time: new Float64Array(length),
    bytes: new Float64Array(length),
    preview: [],
  };
}
