import { type CDPSession, expect, type Page } from "@playwright/test";

/** origin of the hub under test. */
export const origin = new URL(process.env.PULSO_URL ?? "http://127.0.0.1").origin;

/** results is where pictures go. */
export const results = process.env.PULSO_RESULTS ?? "test-results";

export const pill = (page: Page) => page.getByTestId("connection-pill");

/** live waits until what is shown is what the hub says now. */
export const live = (page: Page, timeout = 15_000) =>
  expect(pill(page)).toHaveAttribute("data-state", "live", { timeout });

/** open loads the dashboard anew. */
export async function open(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await live(page);
}

/** go follows a link within the page, as a click on one does: nothing is loaded again. */
export async function go(page: Page, path: string): Promise<void> {
  await page.evaluate((path) => {
    const link = document.createElement("a");
    link.href = path;
    document.body.append(link);
    link.click();
    link.remove();
  }, path);
  await settled(page);
}

/** settled waits until what a change leads to is painted: two frames, and what they begin. */
export async function settled(page: Page): Promise<void> {
  await page.evaluate(
    () => new Promise<void>((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50)))),
  );
}

/** watch collects what must not happen on any page: errors, refusals by the content policy, and requests that leave the hub. */
export function watch(page: Page, allowed: RegExp = /(?!)/): string[] {
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !allowed.test(message.text())) problems.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { protocol, origin: to } = new URL(request.url());
    if (to !== origin && protocol !== "blob:") problems.push(`request: ${request.url().slice(0, 200)}`);
  });
  page.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return problems;
}

/** fits tells what is wider than the window; nothing where nothing has to be scrolled sideways. */
export const fits = (page: Page) =>
  page.evaluate(() => {
    const { scrollWidth } = document.documentElement;
    return scrollWidth <= innerWidth ? "" : `${location.pathname}: ${scrollWidth} px in ${innerWidth} px`;
  });

/** Measured is what the browser says of a page: seconds of the main thread, and counts. */
export interface Measured {
  /** at is the moment, task how long tasks took by the clock, thread the processor time of the main thread: seconds. */
  at: number;
  task: number;
  thread: number;
  heap: number;
  nodes: number;
  listeners: number;
}

/** meter measures a page through the browser's own counters. */
export async function meter(page: Page): Promise<{ cdp: CDPSession; read: () => Promise<Measured> }> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const read = async () => {
    const { metrics } = await cdp.send("Performance.getMetrics");
    const of = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? Number.NaN;
    return {
      at: of("Timestamp"),
      task: of("TaskDuration"),
      thread: of("ThreadTime"),
      heap: of("JSHeapUsedSize"),
      nodes: of("Nodes"),
      listeners: of("JSEventListeners"),
    };
  };
  return { cdp, read };
}

/** collected measures after everything that nobody holds any more is gone. */
export async function collected({ cdp, read }: Awaited<ReturnType<typeof meter>>): Promise<Measured> {
  for (let i = 0; i < 3; i++) await cdp.send("HeapProfiler.collectGarbage");
  return read();
}
