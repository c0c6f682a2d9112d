/** What the screen of alerts says, and the list of what needs attention. */
export const alerts = {
  title: "Alerts",
  kinds: "Kinds of alerts",
  all: "All",
  kind: {
    hub: "Hub",
    silent: "Silent devices",
    undecodable: "Not decodable",
    refused: "Connections refused or cut off",
    missed: "Missed messages",
    dropped: "Drops",
    lost: "Lost in this browser",
    clock: "Clock",
  },
  none: "All is well",
  reporting: (n: string) => (n === "1" ? "1 device is reporting." : `${n} devices, none of them silent.`),
  dropped: (n: string, reason: string) => `${n} dropped: ${reason}`,
};
