import { choose, language } from "../app/language";
import { devices, view } from "../app/live";
import { place } from "../app/place.svelte";
import { theme } from "../app/theme.svelte";
import { exportPath } from "../core/api";
import type { Route } from "../core/router";
import { type Language, languages, t } from "../i18n";
import { screens } from "./screens";

export type EntryKind = "screen" | "action" | "board" | "device" | "topic";

/** Entry is a place that the palette goes to, or something that it does. */
export interface Entry {
  /** key names it among those used lately. */
  key: string;
  kind: EntryKind;
  label: string;
  /** detail tells entries of the same label apart. */
  detail: string;
  run: () => void;
}

/** Topics that the palette knows at most; the screen of topics finds all. */
const topicLimit = 20_000;

/** screenEntries are the rail's, and those that have no place in it. */
export function screenEntries(): Entry[] {
  return [...screens, "query" as const].map((name) => entry("screen", name, t.nav[name], "", () => place.go({ name })));
}

export function actionEntries(help: () => void): Entry[] {
  const words = t.settings.palette;
  const action = (key: string, label: string, run: () => void) => entry("action", key, label, "", run);
  const list = [
    view.mode.name === "live"
      ? action("pause", words.pause, () => view.pause())
      : action("live", words.live, () => view.backToLive()),
    action("theme", words.theme, () => theme.toggle()),
    action("chat", words.chat, () => place.toggleChat()),
    action("help", words.help, help),
  ];
  for (const [code, name] of Object.entries(languages)) {
    if (code !== language())
      list.push(action(`language-${code}`, words.language(name), () => choose(code as Language)));
  }
  const { route } = place;
  if (route.name === "device") {
    const at = devices.indexOf(route.id);
    const name = (at < 0 ? "" : devices.device(at).name) || route.id;
    list.push(action("export", words.export(name), () => location.assign(exportPath(route.id, "csv"))));
  }
  return list;
}

/** deviceEntries are all devices, and after them the topics that are known of them. */
export function deviceEntries(): Entry[] {
  const list: Entry[] = [];
  const topics = new Map<string, Entry>();
  for (let i = 0; i < devices.count; i++) {
    const { id, name, kind, topics: own } = devices.device(i);
    const detail = name === "" || name === id ? kind : `${id} ${kind}`;
    list.push(goTo("device", id, name || id, detail, { name: "device", id }));
    for (const topic of own) {
      if (topics.size >= topicLimit) break;
      topics.set(topic, goTo("topic", topic, topic, "", { name: "topics" }, { path: topic }));
    }
  }
  return [...list, ...topics.values()];
}

/** boardEntries asks the hub which boards there are; none where it does not tell. */
export async function boardEntries(): Promise<Entry[]> {
  try {
    const response = await fetch("/api/v1/boards");
    const { boards } = (await response.json()) as { boards: { id: string; name: string }[] };
    return boards.map(({ id, name }) => goTo("board", id, name || id, "", { name: "board", id }));
  } catch {
    return [];
  }
}

function goTo(kind: EntryKind, key: string, label: string, detail: string, route: Route, params = {}): Entry {
  return entry(kind, key, label, detail, () => place.go(route, params));
}

function entry(kind: EntryKind, key: string, label: string, detail: string, run: () => void): Entry {
  return { key: `${kind} ${key}`, kind, label, detail, run };
}
