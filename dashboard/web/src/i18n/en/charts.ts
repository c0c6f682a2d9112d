/** What charts and their time range say. */
export const charts = {
  range: "Time range",
  chosen: "Chosen",
  choose: "From … to …",
  from: "From",
  to: "To",
  show: "Show",
  cancel: "Cancel",
  earlier: "Earlier",
  later: "Later",
  keys: "Arrow keys read values, + and − zoom, Escape goes back.",
  save: (as: string) => `Save as ${as}`,
};
