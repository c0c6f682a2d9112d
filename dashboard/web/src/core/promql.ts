/** Context is what a caret in an expression of PromQL stands in, and the text before it that is to be completed. */
export interface Context {
  kind: "expression" | "label" | "value" | "none";
  prefix: string;
  /** metric is the one whose labels are meant, where it is known; label the one whose value is. */
  metric: string;
  label: string;
}

const none: Context = { kind: "none", prefix: "", metric: "", label: "" };
const letter = /[A-Za-z0-9_:]/;
/** Before a parenthesis these make what is in it a list of labels. */
const grouping = /\b(by|without|on|ignoring|group_left|group_right)\s*$/i;

/**
 * contextAt reads an expression up to a caret, whether or not it is finished: strings with their escapes, comments, braces and
 * the lists of labels of aggregations (https://prometheus.io/docs/prometheus/latest/querying/basics/).
 */
export function contextAt(text: string, caret: number): Context {
  const before = text.slice(0, caret);
  let [metric, label, word] = ["", "", ""];
  /** matched: the label before the caret has its value, and a comma comes next. */
  let matched = false;
  /** What is open around the caret, innermost last. */
  const open: ("{" | "(" | "labels" | "[")[] = [];
  for (let i = 0; i < before.length; i++) {
    const c = before[i];
    if (c === "#") {
      const end = before.indexOf("\n", i);
      if (end < 0) return none;
      i = end;
      word = "";
    } else if (c === '"' || c === "'" || c === "`") {
      const end = endOf(before, i);
      if (end < 0) {
        return open.at(-1) === "{" && label !== ""
          ? { kind: "value", prefix: before.slice(i + 1), metric, label }
          : none;
      }
      i = end;
      [word, label, matched] = ["", "", true];
    } else if (letter.test(c)) word += c;
    else {
      if (c === "{") {
        metric = word || wordBefore(before, i);
        open.push("{");
      } else if (c === "(") open.push(grouping.test(before.slice(0, i)) ? "labels" : "(");
      else if (c === "[") open.push("[");
      else if (c === "}" || c === ")" || c === "]") open.pop();
      else if (open.at(-1) === "{" && (c === "=" || c === "!")) label ||= word || wordBefore(before, i);
      if (c === "," || c === "{") [label, matched] = ["", false];
      word = "";
    }
  }
  switch (open.at(-1)) {
    case "[":
      return none;
    case "{":
      return label === "" && !matched ? { kind: "label", prefix: word, metric, label } : none;
    case "labels":
      return { kind: "label", prefix: word, metric: "", label };
    default:
      return /^\d/.test(word) ? none : { kind: "expression", prefix: word, metric: "", label };
  }
}

/** endOf is where the string that begins at a quote ends; -1 where it does not. */
function endOf(text: string, start: number): number {
  const quote = text[start];
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\" && quote !== "`") i++;
    else if (text[i] === quote) return i;
  }
  return -1;
}

function wordBefore(text: string, at: number): string {
  return /([A-Za-z_:][A-Za-z0-9_:]*)\s*$/.exec(text.slice(0, at))?.[1] ?? "";
}

/** words are what PromQL itself offers, with what functions take. */
export const words: readonly (readonly [name: string, takes: string])[] = [
  ...Object.entries({
    abs: "v",
    absent: "v",
    avg: "by (…) (v)",
    avg_over_time: "v[5m]",
    bottomk: "n, v",
    ceil: "v",
    changes: "v[5m]",
    clamp: "v, min, max",
    clamp_max: "v, max",
    clamp_min: "v, min",
    count: "by (…) (v)",
    count_over_time: "v[5m]",
    count_values: '"label", v',
    day_of_week: "v",
    delta: "v[5m]",
    deriv: "v[5m]",
    floor: "v",
    group: "by (…) (v)",
    hour: "v",
    idelta: "v[5m]",
    increase: "v[5m]",
    irate: "v[5m]",
    label_join: 'v, "to", ",", "from"',
    label_replace: 'v, "to", "$1", "from", "(.*)"',
    last_over_time: "v[5m]",
    max: "by (…) (v)",
    max_over_time: "v[5m]",
    min: "by (…) (v)",
    min_over_time: "v[5m]",
    predict_linear: "v[1h], seconds",
    present_over_time: "v[5m]",
    quantile: "0.95, v",
    quantile_over_time: "0.95, v[5m]",
    rate: "v[5m]",
    resets: "v[5m]",
    round: "v, 0.1",
    scalar: "v",
    sort: "v",
    sort_desc: "v",
    stddev: "by (…) (v)",
    stddev_over_time: "v[5m]",
    sum: "by (…) (v)",
    sum_over_time: "v[5m]",
    time: "",
    timestamp: "v",
    topk: "n, v",
    vector: "s",
  }).map(([name, takes]) => [name, `(${takes})`] as const),
  ...["and", "bool", "by", "group_left", "group_right", "ignoring", "offset", "on", "or", "unless", "without"].map(
    (name) => [name, ""] as const,
  ),
];

/** completed is an expression with a choice in the place of what was being written, and where the caret then is. */
export function completed(
  text: string,
  caret: number,
  context: Context,
  choice: string,
): { text: string; caret: number } {
  const start = caret - context.prefix.length;
  let insert = choice;
  const quote = text[start - 1];
  if (context.kind === "value" && quote !== "`") insert = choice.replace(/[\\"']/g, "\\$&").replaceAll("\n", "\\n");
  const rest = text.slice(caret).replace(context.kind === "value" ? /^[^"'`},]*["'`]?/ : /^[A-Za-z0-9_:]*/, "");
  if (context.kind === "value") insert += quote;
  return { text: text.slice(0, start) + insert + rest, caret: start + insert.length };
}
