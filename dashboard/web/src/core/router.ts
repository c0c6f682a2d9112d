/** Route is the screen that a URL names. */
export type Route =
  | { name: "overview" }
  | { name: "devices" }
  | { name: "device"; id: string }
  | { name: "topics" }
  | { name: "boards" }
  | { name: "board"; id: string }
  | { name: "query" }
  | { name: "alerts" }
  | { name: "errors" }
  | { name: "connect" }
  | { name: "settings" }
  | { name: "unknown" };

/** parseRoute reads the path of a URL; the hub serves the dashboard for exactly these first levels. */
export function parseRoute(pathname: string): Route {
  const [first = "", second = "", ...rest] = pathname.replace(/^\//, "").replace(/\/$/, "").split("/");
  if (rest.length > 0) return { name: "unknown" };
  if ((first === "devices" || first === "boards") && second !== "") {
    const id = decode(second);
    return id === undefined ? { name: "unknown" } : { name: first === "devices" ? "device" : "board", id };
  }
  if (second !== "") return { name: "unknown" };
  switch (first) {
    case "":
      return { name: "overview" };
    case "devices":
    case "topics":
    case "boards":
    case "query":
    case "alerts":
    case "errors":
    case "connect":
    case "settings":
      return { name: first };
    default:
      return { name: "unknown" };
  }
}

/** pathOf is the path of a route's URL. */
export function pathOf(route: Route): string {
  switch (route.name) {
    case "overview":
    case "unknown":
      return "/";
    case "device":
    case "board":
      return `/${route.name}s/${encodeURIComponent(route.id)}`;
    default:
      return `/${route.name}`;
  }
}

/** withParams changes some parameters of a query; an empty value removes its parameter. */
export function withParams(search: string, changes: Record<string, string>): string {
  const params = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") params.delete(name);
    else params.set(name, value);
  }
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
