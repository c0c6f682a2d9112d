import { expect, type Page, test } from "@playwright/test";
import { intoHub } from "./splice";

// A journey through the dashboard of a running hub (PULSO_URL) that has a few live devices, such as `pulso demo` makes.

/** watch collects what must not happen on any page: errors, and refusals by the content policy. */
function watch(page: Page): string[] {
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  return problems;
}

async function live(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "live");
}

/** firstOnline opens the list of devices and returns the id of one that is online. */
async function firstOnline(page: Page): Promise<string> {
  await live(page, "/devices?status=online");
  const row = page.locator('[data-testid="device-row"][data-status="online"]').first();
  await expect(row).toBeVisible();
  return (await row.getAttribute("data-device")) ?? "";
}

const points = (page: Page) =>
  page
    .getByTestId("chart")
    .first()
    .getAttribute("data-points")
    .then((count) => Number(count));

test("the overview tells how the devices are", async ({ page }) => {
  const problems = watch(page);
  await live(page, "/");
  await expect(page.getByTestId("tile-devices-value")).toHaveText(/^[\d,.]+[KM]?$/);
  await expect(page.getByTestId("tile-events-value")).toHaveText(/^[\d,.]+[KM]?$/);
  await expect(page.getByTestId("event-row").first()).toBeVisible();
  await expect.poll(() => points(page)).toBeGreaterThan(2);
  expect(problems).toEqual([]);
});

test("the list of devices shows live values, finds one, and opens its page", async ({ page }) => {
  const problems = watch(page);
  const id = await firstOnline(page);
  const row = page.locator(`[data-testid="device-row"][data-device="${id}"]`);
  await expect(row.getByTestId("device-value")).toContainText(/\d/);
  expect(await page.getByTestId("device-row").count()).toBeLessThan(60);

  await page.keyboard.press("/");
  await page.keyboard.type(id);
  await expect(page.getByTestId("device-row")).toHaveCount(1);
  await page.keyboard.press("Escape");
  await page.locator("main").click({ position: { x: 5, y: 5 } });
  await page.keyboard.press("j");
  await expect(page.getByTestId("device-preview")).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`/devices/${encodeURIComponent(id)}$`));
  expect(problems).toEqual([]);
});

test("a device's charts move, stop for a pause, and show a range that is dragged", async ({ page }) => {
  const problems = watch(page);
  const id = await firstOnline(page);
  await live(page, `/devices/${encodeURIComponent(id)}`);
  await expect.poll(() => points(page)).toBeGreaterThan(1);
  const before = await points(page);
  await expect.poll(() => points(page)).toBeGreaterThan(before);

  await page.keyboard.press("Space");
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "paused");
  await page.waitForTimeout(300);
  const paused = await points(page);
  const shown = await page.getByTestId("track-value").first().textContent();
  await page.waitForTimeout(2_500);
  expect(await points(page)).toBe(paused);
  expect(await page.getByTestId("track-value").first().textContent()).toBe(shown);
  await expect(page.getByTestId("back-to-live")).toContainText(/\+[1-9]/);
  await page.getByTestId("back-to-live").click();
  await expect.poll(() => points(page)).toBeGreaterThan(paused);

  const box = await page.locator('[data-testid="chart"] .plot-over').first().boundingBox();
  if (box === null) throw new Error("the chart has no place on the screen");
  await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 40, { steps: 4 });
  await page.mouse.up();
  await expect(page.getByTestId("back-to-live")).toBeVisible();
  await page.keyboard.press("l");
  await expect(page.getByTestId("back-to-live")).toHaveCount(0);

  await page.getByTestId("tab-messages").click();
  await expect(page.getByTestId("event-row").first()).toBeVisible();
  expect(problems).toEqual([]);
});

test("a topic shows its payload and plots a number in one click", async ({ page }) => {
  const problems = watch(page);
  await live(page, "/topics?q=telemetry");
  const topic = page.locator('[data-testid="topic-row"][data-topic$="telemetry"]').first();
  await topic.click();
  await expect(page.getByTestId("payload")).toContainText(/\d/);
  await page.getByTestId("plot-field").first().click();
  await expect.poll(() => points(page)).toBeGreaterThan(1);
  expect(problems).toEqual([]);
});

test("two people chat, and hostile text stays text", async ({ page, browser }) => {
  const problems = watch(page);
  const channel = `e2e-${Date.now()}`;
  const text = `<img src=x onerror="document.title='owned'"> ${Date.now()}`;
  const other = await (await browser.newContext()).newPage();
  for (const [one, name] of [
    [page, "Ana"],
    [other, "Luis"],
  ] as const) {
    await one.goto(new URL(`/?chat=open&channel=${channel}`, process.env.PULSO_URL).href);
    await one.getByTestId("chat-name").fill(name);
    await one.getByTestId("chat-name").press("Enter");
  }
  await page.getByTestId("chat-input").fill(text);
  await page.getByTestId("chat-input").press("Enter");
  await expect(other.getByTestId("chat-message")).toContainText([text]);
  await expect(page.getByTestId("chat-message")).toContainText([text]);
  await expect(page.getByTestId("chat-input")).toHaveValue("");
  expect(await other.title()).toContain("Pulso");
  await other.context().close();
  expect(problems).toEqual([]);
});

test("a connection that is lost says so, dims the values, and comes back by itself", async ({ page }) => {
  // The test stands between the page and the hub, and can cut the line.
  let cut = false;
  const lines = new Set<() => void>();
  await page.route("**/api/v1/past", (route) => (cut ? route.abort() : route.continue()));
  await page.routeWebSocket("**/ws", (line) => {
    if (cut) {
      line.close({ code: 1011 });
      return;
    }
    const hub = line.connectToServer();
    const close = () => {
      hub.close();
      line.close({ code: 1011 });
    };
    lines.add(close);
  });
  const id = await firstOnline(page);
  await live(page, `/devices/${encodeURIComponent(id)}?window=60`);
  await expect.poll(() => points(page)).toBeGreaterThan(1);

  cut = true;
  for (const close of lines) close();
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "reconnecting", { timeout: 2_000 });
  const value = page.getByTestId("track-value").first();
  await expect.poll(() => value.evaluate((one) => Number(getComputedStyle(one).opacity))).toBeLessThan(0.6);
  await expect(page.getByTestId("banner")).toBeVisible();

  cut = false;
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "live", { timeout: 10_000 });
  await expect(page.getByTestId("banner")).toHaveCount(0);
  await expect(page).toHaveURL(/window=60/);
  const counted = (await page.getByTestId("device-events").textContent()) ?? "";
  await expect(page.getByTestId("device-events")).not.toHaveText(counted);
  await expect.poll(() => value.evaluate((one) => Number(getComputedStyle(one).opacity))).toBe(1);
});

test("what is wrong with the hub is said on every page, and who missed something on the overview", async ({ page }) => {
  const since = Date.now() - 200_000;
  await page.routeWebSocket("**/ws", (line) => {
    const hub = line.connectToServer();
    hub.onMessage((message) =>
      line.send(
        intoHub(message, (hub) => {
          hub.message(21, (problem) => {
            problem.uint(1, since, "since");
            problem.string(2, "log_full");
            problem.string(3, "log: no room");
          });
          hub.message(18, (missed) => {
            missed.uint(1, since, "time");
            missed.string(2, "pump-7");
            missed.string(3, "a.1");
            missed.string(4, "a.9");
            missed.uint(5, 8, "events");
            missed.string(6, "retention");
          });
        }),
      ),
    );
  });
  for (const path of ["/devices", "/topics", "/connect", "/"]) {
    await live(page, path);
    await expect(page.getByTestId("problem")).toContainText(/disk is full.*Since .*3 min.*Free some space/);
  }
  await expect(page.getByTestId("missed")).toContainText(/pump-7 did not get all its messages/);
  await expect(page.getByTestId("tail-rate")).toContainText(/\d/, { timeout: 10_000 });
});

test("a phone has a bottom bar and targets that a finger meets", async ({ browser }) => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const page = await context.newPage();
  const problems = watch(page);
  await live(page, new URL("/devices", process.env.PULSO_URL).href);
  await expect(page.getByTestId("device-row").first()).toBeVisible();
  for (const target of await page.locator("nav a, nav button:visible").all()) {
    if (await target.isVisible()) expect((await target.boundingBox())?.height).toBeGreaterThanOrEqual(44);
  }
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await expect(page.locator("nav [aria-current=page]")).toHaveCount(1);
  await page.getByTestId("chat-toggle-phone").tap();
  await expect(page.getByTestId("chat")).toBeVisible();
  await expect(page.locator("nav [aria-current=page]")).toHaveCount(0);
  await page.locator("nav a").nth(1).tap();
  await expect(page.getByTestId("chat")).toHaveCount(0);
  await page.getByTestId("device-row").first().tap();
  await expect(page.getByTestId("chart").first()).toBeVisible();
  expect(problems).toEqual([]);
  await context.close();
});
