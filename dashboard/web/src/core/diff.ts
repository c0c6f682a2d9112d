/** Line is one line of a payload, and whether it is new, gone or as before. */
export interface Line {
  text: string;
  change: "same" | "added" | "removed";
}

/** Lines beyond this are not compared: the comparison takes memory by their product. */
const limit = 400;

/** Levels that are indented; a hostile payload may nest a hundred thousand. */
const indented = 24;

/** pretty sets JSON in lines without touching its numbers or keys; other text stays as it is. */
export function pretty(source: string): string {
  let out = "";
  let depth = 0;
  const newline = () => `\n${"  ".repeat(Math.max(0, Math.min(depth, indented)))}`;
  for (let at = 0; at < source.length; at++) {
    const c = source[at];
    if (c === '"') {
      const from = at;
      for (at++; at < source.length && source[at] !== '"'; at++) if (source[at] === "\\") at++;
      out += source.slice(from, at + 1);
    } else if (c === "{" || c === "[") {
      const close = c === "{" ? "}" : "]";
      const next = source.slice(at + 1).match(/^\s*(.)/)?.[1];
      if (next === close) {
        out += c + close;
        at = source.indexOf(close, at);
      } else {
        depth++;
        out += c + newline();
      }
    } else if (c === "}" || c === "]") {
      depth--;
      out += newline() + c;
    } else if (c === ",") out += c + newline();
    else if (c === ":") out += ": ";
    else if (c.trim() !== "") out += c;
  }
  return out;
}

/** diffLines compares two texts line by line (longest common subsequence). */
export function diffLines(before: string, after: string): Line[] {
  const a = before.split("\n");
  const b = after.split("\n");
  if (a.length > limit || b.length > limit) return b.map((text) => ({ text, change: "same" }));
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] =
        a[i] === b[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ text: b[j], change: "same" });
      i++;
      j++;
    } else if (i < a.length && (j === b.length || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      lines.push({ text: a[i++], change: "removed" });
    } else lines.push({ text: b[j++], change: "added" });
  }
  return paired(lines);
}

/** paired sets each changed line beside what it was before, where as many went as came: a payload's fields keep their places. */
function paired(lines: Line[]): Line[] {
  const result: Line[] = [];
  for (let at = 0; at < lines.length; ) {
    let middle = at;
    while (lines[middle]?.change === "removed") middle++;
    const count = middle - at;
    let end = middle;
    while (lines[end]?.change === "added") end++;
    if (count === 0 || end - middle !== count) {
      const next = Math.max(end, at + 1);
      result.push(...lines.slice(at, next));
      at = next;
      continue;
    }
    for (let i = 0; i < count; i++) result.push(lines[at + i], lines[middle + i]);
    at = end;
  }
  return result;
}
