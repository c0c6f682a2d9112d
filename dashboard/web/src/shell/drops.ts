import { formatClock, formatCount, formatDateTime } from "../core/format";
import type { LossRow } from "../core/state/losses";
import type { Hub } from "../core/wire/types";
import { t } from "../i18n";

/** lossLines says what this browser did not take in, and since when. */
export function lossLines(rows: readonly LossRow[]): string[] {
  return rows.map(({ kind, count, since }) =>
    t.connection.since(t.connection.losses[kind](formatCount(count)), formatClock(since)),
  );
}

/** dropLines says what was dropped, where, and since when: by the broker, by the hub, in this browser. */
export function dropLines(live: Hub | undefined, rows: readonly LossRow[]): string {
  const lines = lossLines(rows);
  if (live !== undefined) {
    const since = formatDateTime(live.started);
    const reasons = live.drops
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => `${reason} ${formatCount(count)}`);
    if (live.gaps > 0) lines.unshift(t.connection.since(t.connection.gaps(formatCount(live.gaps)), since));
    if (reasons.length > 0) lines.unshift(t.connection.since(t.connection.drops(reasons.join(", ")), since));
  }
  return lines.join("\n");
}
