/** What the connection and the hub at its other end say. */
export const connection = {
  sse: "Live over SSE",
  sseWhy:
    "Something between this browser and the hub blocks WebSockets. Everything comes over server-sent events instead; a WebSocket is tried again now and then.",
  behind: (by: string) => `This browser's clock is ${by} behind; shown times are the hub's.`,
  ahead: (by: string) => `This browser's clock is ${by} ahead; shown times are the hub's.`,
  updated: (from: string, to: string) => `The hub was updated: ${from} → ${to}. This page is still of the old version.`,
  reload: "Reload",
  /** What this browser did not take in, by kind. */
  losses: {
    bad: (count: string) => `this browser: ${count} messages not understood`,
    truncated: (count: string) => `this browser: ${count} times less history than asked for`,
    beyond: (count: string) => `this browser: ${count} devices beyond its limit`,
  },
  drops: (reasons: string) => `broker: not delivered or not kept: ${reasons}`,
  gaps: (count: string) => `hub: ${count} gaps told to screens and subscribers`,
  since: (what: string, since: string) => `${what}, since ${since}`,
};
