import { ticker, view } from "./live";
import { watch } from "./watch";

const ticks = watch(ticker);
const shown = watch(view);

/** now is the hub's time for ages; who reads it runs again each second, and not at all while paused. */
export function now(): number {
  ticks();
  return shown().now();
}
