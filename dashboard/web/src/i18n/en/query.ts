/** What the screen of PromQL says. */
export const query = {
  expression: "PromQL expression",
  hint: "Enter asks, Shift+Enter begins a line.",
  ask: "Ask",
  names: "Completions",
  examples: "Try one of these",
  last: "Asked last",
  empty: "Nothing matches in this range.",
  failed: (why: string) => `Not answered: ${why}`,
  took: (at: string, ms: string) => `answered at ${at} in ${ms} ms`,
  step: (age: string) => `a point each ${age}`,
  series: "Series",
  value: "Value",
  drawn: (shown: string, all: string) => `${shown} of ${all} series are drawn`,
  listed: (shown: string, all: string) => `the first ${shown} of ${all}`,
};
