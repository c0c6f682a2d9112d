/** What the screen of errors says. */
export const errors = {
  title: "Errors",
  since: (time: string) => `What was refused, dropped or not decodable since the hub started, ${time}.`,
  none: "No errors",
  quiet: (time: string) => `Nothing was refused, dropped or left undecoded since the hub started, ${time}.`,
  past: "The log tells which devices were silent or not understood in the past. Drops, refused connections and what this browser lost are told of the present only.",
  undecodable: "Kept as they came, and not charted. The newest message of each device, and what is wrong with it:",
  where: { broker: "Broker", hub: "Hub", browser: "This browser" },
  losses: {
    bad: (n: string) => `messages of the hub not understood: ${n}`,
    truncated: (n: string) => `history cut short by the hub: ${n}`,
    beyond: (n: string) => `devices beyond what the page keeps: ${n}`,
  },
};
