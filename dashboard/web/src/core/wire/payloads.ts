/**
 * payloadSources finds the source text of each event's `payload` in a frame. JSON.parse would turn 12345678901234567890
 * into another number and drop repeated keys; the screen shows what the device sent, so the text is cut out instead.
 *
 * The text must be valid JSON (the caller has parsed it). The result has one entry an event, in order; undefined where
 * the event has no payload in JSON. list is the name of the member that holds them.
 */
export function payloadSources(text: string, list = "events"): (string | undefined)[] {
  const found: (string | undefined)[] = [];
  const events = (at: number): number =>
    eachElement(text, at, (element) => {
      let source: string | undefined;
      const end = eachMember(text, element, (key, value) => {
        const after = skipValue(text, value);
        if (key === '"payload"') source = text.slice(value, after);
        return after;
      });
      found.push(source);
      return end;
    });
  const frame = (key: string, at: number): number => (key === `"${list}"` ? events(at) : skipValue(text, at));
  eachMember(text, skipSpace(text, 0), (key, at) =>
    key === '"snapshot"' && text[at] === "{" ? eachMember(text, at, frame) : frame(key, at),
  );
  return found;
}

const quote = 34;
const backslash = 92;

function skipSpace(text: string, at: number): number {
  while (text.charCodeAt(at) <= 32) at++;
  return at;
}

/** skipString returns the index after the string that begins at `at`. */
function skipString(text: string, at: number): number {
  for (at++; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === backslash) at++;
    else if (c === quote) return at + 1;
  }
  return at;
}

/** skipValue returns the index after the value that begins at `at`. It keeps a count, not a stack: depth costs nothing. */
function skipValue(text: string, at: number): number {
  let depth = 0;
  while (at < text.length) {
    const c = text[at];
    if (c === '"') {
      at = skipString(text, at);
      if (depth === 0) return at;
      continue;
    }
    if (c === "{" || c === "[") depth++;
    else if (c === "}" || c === "]") {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (c === "," || text.charCodeAt(at) <= 32)) return at;
    at++;
  }
  return at;
}

/** eachMember visits the members of the object at `at`; visit returns the index after the member's value. */
function eachMember(text: string, at: number, visit: (key: string, value: number) => number): number {
  if (text[at] !== "{") return skipValue(text, at);
  at = skipSpace(text, at + 1);
  while (at < text.length && text[at] !== "}") {
    const end = skipString(text, at);
    const key = text.slice(at, end);
    const value = skipSpace(text, skipSpace(text, end) + 1);
    at = skipSpace(text, visit(key, value));
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return at + 1;
}

/** eachElement visits the elements of the array at `at`; visit returns the index after the element. */
function eachElement(text: string, at: number, visit: (element: number) => number): number {
  if (text[at] !== "[") return skipValue(text, at);
  at = skipSpace(text, at + 1);
  while (at < text.length && text[at] !== "]") {
    at = skipSpace(text, visit(at));
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return at + 1;
}
