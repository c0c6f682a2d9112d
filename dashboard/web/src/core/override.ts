import type { Field, Override, Report } from "./api";

/** FieldRow is what the form says of one value that was found, or that an override speaks of. */
export interface FieldRow {
  /** found is the name of the reading or text as it is without the override. */
  found: string;
  /** sample is its newest value and unit, for people; empty where the newest message has none. */
  sample: string;
  /** foundUnit stands in the field of the unit as long as that is empty. */
  foundUnit: string;
  as: string;
  name: string;
  unit: string;
  scale: string;
}

/** OverrideForm is an override being written. Empty means: as found. */
export interface OverrideForm {
  filter: string;
  format: string;
  device: string;
  name: string;
  kind: string;
  rows: FieldRow[];
}

/** Rows that a form shows; a message may have a thousand readings. */
export const rowLimit = 200;

/** formOf is the form for a topic: what was found in its newest message without the override, and what the override says. */
export function formOf(topic: string, found: Report | undefined, given?: Override): OverrideForm {
  const rows = new Map<string, FieldRow>();
  const row = (name: string, sample: string, foundUnit: string) => {
    const { as = "", name: called = "", unit = "", scale = 0 } = given?.fields?.[name] ?? {};
    const scaled = scale === 0 ? "" : String(scale);
    if (!rows.has(name)) rows.set(name, { found: name, sample, foundUnit, as, name: called, unit, scale: scaled });
  };
  for (const name of Object.keys(given?.fields ?? {})) {
    if (!Object.hasOwn(found?.metrics ?? {}, name) && !Object.hasOwn(found?.texts ?? {}, name)) row(name, "", "");
  }
  for (const [name, value] of Object.entries(found?.metrics ?? {})) {
    const unit = own(found?.units, name) ?? "";
    row(name, unit === "" ? String(value) : `${value} ${unit}`, unit);
  }
  for (const [name, value] of Object.entries(found?.texts ?? {})) row(name, value, "");
  return {
    filter: given?.filter ?? topic,
    format: given?.format ?? "",
    device: given?.device ?? "",
    name: given?.name ?? "",
    kind: given?.kind ?? "",
    rows: [...rows.values()].slice(0, rowLimit),
  };
}

/** withFound is the rows of what was found, with what has been written in those that stand there already. */
export function withFound(written: readonly FieldRow[], found: readonly FieldRow[]): FieldRow[] {
  return found.map((row) => {
    const { sample, foundUnit } = row;
    return { ...row, ...written.find((one) => one.found === row.found), sample, foundUnit };
  });
}

/** overrideOf is the override that a form says; what is empty is left out. badScale is the field whose scale is no number. */
export function overrideOf(form: OverrideForm): { override: Override; badScale: string | undefined } {
  const override: Override = { filter: form.filter.trim() };
  for (const key of ["format", "device", "name", "kind"] as const) {
    if (form[key].trim() !== "") override[key] = form[key].trim();
  }
  let badScale: string | undefined;
  const fields: [string, Field][] = [];
  for (const { found, as, name, unit, scale } of form.rows) {
    const field: Field = {};
    if (as !== "") field.as = as;
    if (name.trim() !== "") field.name = name.trim();
    if (unit.trim() !== "") field.unit = unit.trim();
    if (scale.trim() !== "") {
      const factor = Number(scale.trim().replace(",", "."));
      if (Number.isFinite(factor) && factor !== 0) field.scale = factor;
      else badScale ??= found;
    }
    if (Object.keys(field).length > 0) fields.push([found, field]);
  }
  // A field may be called __proto__: it becomes a member like any other.
  if (fields.length > 0) override.fields = Object.fromEntries(fields);
  return { override, badScale };
}

/** saysNothing reports that an override changes nothing. */
export function saysNothing({ filter: _, from: __, ...said }: Override): boolean {
  return Object.keys(said).length === 0;
}

/**
 * without is the overrides of the dashboard, in their order, but for one, which is known by its filter and what it says: another
 * person may have changed the list since it was read.
 */
export function without(all: readonly Override[], one: Override | undefined): Override[] {
  const ours = all.filter(({ from }) => from !== "configuration");
  const at = one === undefined ? -1 : ours.findIndex((other) => same(other, one));
  return ours.filter((_, i) => i !== at).map(plain);
}

/** withOverride puts an override in the place of another, or before all others: of several that match, the first counts most. */
export function withOverride(all: readonly Override[], before: Override | undefined, now: Override): Override[] {
  const ours = all.filter(({ from }) => from !== "configuration");
  const at = before === undefined ? -1 : ours.findIndex((other) => same(other, before));
  if (at < 0) return [now, ...ours.map(plain)];
  return ours.map((other, i) => (i === at ? now : plain(other)));
}

function plain({ from: _, ...override }: Override): Override {
  return override;
}

function same(a: Override, b: Override): boolean {
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b));
}

/** filterMatches reports whether an MQTT topic filter matches a topic. */
export function filterMatches(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  if (topic.startsWith("$") && !filter.startsWith("$")) return false;
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === "#") return i === wanted.length - 1;
    if (i >= levels.length || (wanted[i] !== "+" && wanted[i] !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

/** Difference is one thing that two readings of a message say, each in words; empty where it says nothing of it. */
export interface Difference {
  what: string;
  /** part is true for what is said of the message as a whole, false for a reading or text. */
  part: boolean;
  before: string;
  after: string;
}

const parts = ["device", "name", "kind", "format", "problem", "status", "timestamp"] as const;

/** differences sets two readings of one message beside each other: all that either says, what differs first. */
export function differences(before: Report, after: Report): Difference[] {
  const rows: Difference[] = parts.map((what) => ({
    what,
    part: true,
    before: before[what] ?? "",
    after: after[what] ?? "",
  }));
  const a = valuesOf(before);
  const b = valuesOf(after);
  for (const what of new Set([...a.keys(), ...b.keys()])) {
    rows.push({ what, part: false, before: a.get(what) ?? "", after: b.get(what) ?? "" });
  }
  const said = rows.filter((row) => row.before !== "" || row.after !== "");
  return [...said.filter((row) => row.before !== row.after), ...said.filter((row) => row.before === row.after)];
}

function valuesOf(report: Report): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(report.metrics)) {
    const unit = own(report.units, name);
    values.set(name, unit === undefined ? String(value) : `${value} ${unit}`);
  }
  for (const [name, value] of Object.entries(report.texts)) values.set(name, `“${value}”`);
  return values;
}

function own<T>(of: Record<string, T> | undefined, key: string): T | undefined {
  return of !== undefined && Object.hasOwn(of, key) ? of[key] : undefined;
}
