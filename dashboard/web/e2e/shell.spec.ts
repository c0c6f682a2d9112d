import { expect, test } from "@playwright/test";
import mqtt from "mqtt";
import { collected, go, live, meter, open, settled, watch } from "./page";

// What stands around the screens, and a hub with very many topics. Against a hub of its own (PULSO_URL, PULSO_MQTT).
const topics = 100_000;

test("the palette leads everywhere, and what was chosen is there the next time", async ({ page }) => {
  const problems = watch(page);
  await open(page, "/settings");
  await page.keyboard.press("Control+k");
  await expect(page.getByTestId("palette")).toBeVisible();
  await page.keyboard.type("query");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/query$/);
  await go(page, "/settings");
  await page.locator("#language-es").check();
  await expect(page.locator("html")).toHaveAttribute("lang", "es");
  await page.getByTestId("single-keys").uncheck();
  await page.reload();
  await live(page);
  await expect(page.locator("html")).toHaveAttribute("lang", "es");
  await expect(page.getByTestId("single-keys")).not.toBeChecked();
  const theme = await page.locator("html").getAttribute("data-theme");
  await page.locator("main").click({ position: { x: 5, y: 5 } });
  await page.keyboard.press("t");
  await page.keyboard.press("c");
  await expect(page.getByTestId("chat")).toHaveCount(0);
  expect(await page.locator("html").getAttribute("data-theme")).toBe(theme);
  expect(problems).toEqual([]);
});

test("the chat is as wide as it was made, by keyboard", async ({ page }) => {
  await open(page, "/?chat=open");
  const grip = page.getByTestId("chat-grip");
  const before = Number(await grip.getAttribute("aria-valuenow"));
  await grip.focus();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  const after = Number(await grip.getAttribute("aria-valuenow"));
  expect(after).toBeGreaterThan(before);
  await page.reload();
  await live(page);
  await expect(grip).toHaveAttribute("aria-valuenow", String(after));
});

test("at no width does anything in the top bar lie over anything, and the page is never wider than its window", async ({
  page,
}) => {
  await page.addInitScript(() => {
    localStorage.setItem("pulso.language", "es");
  });
  const range = `range=${Date.now() - 600_000}-${Date.now() - 300_000}`;
  for (const path of [
    "/",
    `/?${range}`,
    "/devices",
    `/topics?path=plant%2Fend&${range}`,
    "/query",
    "/alerts",
    "/settings",
  ]) {
    await open(page, path);
    for (const width of [1440, 1101, 1024, 900, 800, 721, 720, 600, 430, 390, 360, 320]) {
      await page.setViewportSize({ width, height: 900 });
      await settled(page);
      const faults = await page.evaluate(() => {
        const boxes = [
          ...document.querySelectorAll<HTMLElement>(".frame > header > :not(.middle), .frame > header > .middle > *"),
        ]
          .filter((part) => part.offsetParent !== null)
          .map((part) => ({ name: part.className, box: part.getBoundingClientRect() }))
          .sort((a, b) => a.box.left - b.box.left);
        const over = boxes
          .slice(1)
          .filter(({ box }, i) => box.left < boxes[i].box.right - 1)
          .map(({ name }) => name);
        return document.documentElement.scrollWidth > innerWidth ? [...over, "the page"] : over;
      });
      expect(faults, `${path} at ${width}`).toEqual([]);
    }
  }
});

test("a browser that keeps nothing shows everything, for as long as the page lives", async ({ page }) => {
  const problems = watch(page);
  await page.addInitScript(() => {
    const denied = () => {
      throw new DOMException("denied", "SecurityError");
    };
    for (const name of ["localStorage", "sessionStorage", "indexedDB"])
      Object.defineProperty(window, name, { get: denied });
    Object.defineProperty(document, "cookie", { get: denied, set: denied });
  });
  await open(page, "/");
  for (const path of ["/devices", "/topics", "/boards", "/query", "/alerts", "/errors", "/connect", "/settings"]) {
    await go(page, path);
    await expect(page.locator("h1").first()).toBeAttached();
  }
  await page.locator("#language-es").check();
  await expect(page.locator("html")).toHaveAttribute("lang", "es");
  await go(page, "/devices");
  await go(page, "/settings");
  await expect(page.locator("#language-es")).toBeChecked();
  expect(problems).toEqual([]);
});

test("a tree of a hundred thousand topics is as quick as a small one", async ({ page }) => {
  test.setTimeout(120_000);
  const client = await mqtt.connectAsync(`mqtt://${process.env.PULSO_MQTT}`);
  for (let i = 0; i < topics; i++) {
    const sent = client.publishAsync(
      `plant/hall${i % 100}/line${Math.floor(i / 100) % 100}/sensor${Math.floor(i / 10_000)}`,
      "1",
    );
    if (i % 1_000 === 999) await sent;
  }
  await client.publishAsync("plant/end", "1", { qos: 1 });
  await client.endAsync();
  await open(page, "/topics");
  await expect(page.locator("main")).toContainText(/100K topics/, { timeout: 30_000 });
  const rows = page.getByTestId("topic-row");
  await expect(rows.first()).toBeVisible();
  const { cdp, read } = await meter(page);
  const processor: number[] = [];
  await page.locator("[data-filter]").first().focus();
  for (const key of "hall42/line7") {
    const before = await read();
    await page.keyboard.press(key);
    await settled(page);
    processor.push(1_000 * ((await read()).thread - before.thread));
    expect(await rows.count()).toBeLessThan(60);
  }
  await expect(rows.filter({ hasText: "sensor" }).first()).toBeVisible();
  const { heap } = await collected({ cdp, read });
  await cdp.detach();
  console.log(
    `filter at 100,000 topics, processor a keystroke: ${processor.map((ms) => ms.toFixed(0)).join(" ")} ms; heap ${(heap / 1e6).toFixed(0)} MB`,
  );
  expect(heap).toBeLessThan(200e6);
});
