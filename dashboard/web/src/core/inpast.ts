/** asksOnly are requests that change nothing although they are no GET. */
const asksOnly = ["/api/v1/decode"];
/** Requests whose parameter of this name is a time up to which they are answered: in milliseconds, or in seconds, as PromQL has it. */
const ends: [path: RegExp, name: string, unit: number][] = [
  [/^\/api\/v1\/(history|events|export|commands|devices\/)/, "to", 1],
  [/^\/api\/v1\/query_range/, "end", 1000],
  [/^\/api\/v1\/query/, "time", 1000],
];

/** changes reports that a request is to change something on the hub. */
export function changes(method: string, path: string): boolean {
  return method !== "GET" && !asksOnly.includes(path);
}

/** until makes a request one for what had come until a moment, ms since the Unix epoch, where it may be answered with what came later. */
export function until(path: string, moment: number): string {
  const [, name, unit] = ends.find(([asked]) => asked.test(path)) ?? [];
  if (name === undefined || unit === undefined) return path;
  const [before, search] = path.split("?");
  const params = new URLSearchParams(search);
  const end = Math.min(Number(params.get(name) ?? Number.POSITIVE_INFINITY), Math.floor(moment) / unit);
  if (!Number.isNaN(end)) params.set(name, String(end));
  return `${before}?${params}`;
}
