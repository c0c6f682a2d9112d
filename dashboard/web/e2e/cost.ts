import type { Page } from "@playwright/test";
import { go, live, meter, origin } from "./page";
import { metric } from "./program";

/** How long is measured: seconds. */
const seconds = Number(process.env.PULSO_SECONDS ?? 6);
/** What a screen costs when it opens is not what it costs to look at it: ms. */
const settles = 2_000;

/** Cost is the share of the main thread that a screen takes, by its processor time and by the clock, and how much came meanwhile. */
export interface Cost {
  thread: number;
  task: number;
  /** changes of a metric that the hub took in, a second. */
  changes: number;
  fps: number;
}

/** cost measures a screen as it is, on a processor that is so many times slower. */
export async function cost(page: Page, path: string, throttle = 1): Promise<Cost> {
  const { cdp, read } = await meter(page);
  await go(page, path);
  await live(page);
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: throttle });
  await page.waitForTimeout(settles);
  const samples = () => metric(origin, "pulso_history_samples_total");
  const [before, taken] = [await read(), await samples()];
  await page.waitForTimeout(seconds * 1_000);
  const [after, more] = [await read(), await samples()];
  const fps = await frames(page);
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: 1 });
  await cdp.detach();
  const span = after.at - before.at;
  const thread = (after.thread - before.thread) / span;
  const task = (after.task - before.task) / span;
  const changes = (more - taken) / span;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  console.log(
    [
      `main thread, ${path}, ${Math.round(changes).toLocaleString("en")} changes/s${throttle > 1 ? `, ${throttle} x slower` : ""}:`,
      throttle > 1 ? "" : `${percent(thread)} of a processor,`,
      `${percent(task)} by the clock, ${fps.toFixed(0)} fps`,
    ].join(" "),
  );
  return { thread, task, changes, fps };
}

/** frames counts how many a second the page could paint: apart from what is measured, for who asks for each frame paints each. */
function frames(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      new Promise<number>((done) => {
        let count = 0;
        const began = performance.now();
        const next = () => {
          const spent = performance.now() - began;
          if (spent > 1_000) done((count * 1_000) / spent);
          else {
            count++;
            requestAnimationFrame(next);
          }
        };
        requestAnimationFrame(next);
      }),
  );
}
