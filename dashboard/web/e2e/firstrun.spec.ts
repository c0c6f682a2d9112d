import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import mqtt from "mqtt";
import { live, open, pill, results, watch } from "./page";
import { type Program, serve } from "./program";

// A hub that nobody has ever spoken to, started by the tests themselves (PULSO_BIN) at PULSO_URL and PULSO_MQTT.
const data = mkdtempSync(join(tmpdir(), "pulso-first-"));
let hub: Program;
test.beforeAll(async () => {
  hub = await serve(data);
});
test.afterAll(async () => {
  await hub.end("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

/** tabTo presses Tab until what is wanted has the focus; at every step somebody who looks can see where it is. */
async function tabTo(page: Page, selector: string, most = 80): Promise<void> {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate((selector) => {
      const focused = document.activeElement as HTMLElement;
      // A line around it, its own or that of what it stands in.
      const style = getComputedStyle(focused);
      const ringed = style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) > 0;
      const own = style.borderColor !== "" || style.backgroundColor !== "";
      return {
        there: focused.matches(selector),
        name: focused.outerHTML.slice(0, 120),
        visible: focused.matches(":focus-visible") && (ringed || own),
        body: focused === document.body,
      };
    }, selector);
    if (!at.body) expect(at.visible, at.name).toBe(true);
    if (at.there) return;
  }
  throw new Error(`${selector} is not reached by Tab`);
}

test("from a fresh start to the first value by what the screen says, and on by keyboard alone", async ({ page }) => {
  test.setTimeout(90_000);
  const problems = watch(page, /404/);
  const began = Date.now();
  await open(page, "/");
  const snippet = page.getByTestId("snippet");
  await expect(snippet).toContainText("mosquitto_pub");
  await expect(page.getByTestId("arrival")).not.toHaveClass(/arrived/);
  await page.screenshot({ path: `${results}/first-run.png` });
  const command = (await snippet.locator("pre").textContent()) ?? "";
  execFileSync("bash", ["-c", command]);
  await expect(page.getByTestId("arrived-device")).toBeVisible();

  // The device that obeys, from here on with what the hub knows.
  const device = mqtt.connect(`mqtt://${process.env.PULSO_MQTT}`, { protocolVersion: 5 });
  device.subscribe("devices/my-first/set", { qos: 1 });
  device.on("message", (_topic, payload, { properties }) => {
    const to = properties?.responseTopic;
    if (to !== undefined)
      device.publish(to, payload, { qos: 1, properties: { correlationData: properties?.correlationData } });
  });

  await tabTo(page, "[data-testid=arrived-device]");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("track-value")).toHaveText("21.5");
  console.log(
    `first run: the value is on the screen ${((Date.now() - began) / 1000).toFixed(1)} s after the page was opened`,
  );
  expect(Date.now() - began).toBeLessThan(60_000);
  for (let i = 0; i < 20; i++)
    device.publish(
      "devices/my-first/telemetry",
      JSON.stringify({ temperature: 22 + i / 10, ts: Date.now() - 20_000 + i * 1000 }),
    );

  await tabTo(page, "[data-testid=plot]");
  await page.keyboard.press("+");
  await expect(page).toHaveURL(/range=/);
  await page.keyboard.press("Escape");
  await expect(page).not.toHaveURL(/range=/);

  await page.keyboard.press("Shift+Tab");
  await tabTo(page, "[data-testid=plot]");
  for (
    let i = 0;
    i < 60 && !(await page.evaluate(() => document.activeElement?.matches("[data-testid=send-command]")));
    i++
  ) {
    await page.keyboard.press("Shift+Tab");
  }
  await page.keyboard.press("Enter");
  await tabTo(page, "#command-topic");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("devices/my-first/set");
  await tabTo(page, "textarea");
  await page.keyboard.press("Control+a");
  await page.keyboard.type('{"heat":true}');
  await tabTo(page, "[data-testid=command-send]");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("command").first()).toHaveAttribute("data-state", "acknowledged", { timeout: 15_000 });

  await page.keyboard.press("Escape");
  await page.keyboard.press("c");
  await expect(page.getByTestId("chat")).toBeVisible();
  if (
    !(await page
      .getByTestId("chat-name")
      .evaluate((field) => field === document.activeElement)
      .catch(() => false))
  ) {
    await tabTo(page, "[data-testid=chat-name]");
  }
  await page.keyboard.type("Ana");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("chat-input")).toBeVisible();
  if (!(await page.getByTestId("chat-input").evaluate((field) => field === document.activeElement))) {
    await tabTo(page, "[data-testid=chat-input]");
  }
  await page.keyboard.type("It is warm.");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("chat-message")).toContainText(["It is warm."]);
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await expect(page).toHaveURL((url) => url.pathname === "/");
  await device.endAsync(true);
  expect(problems).toEqual([]);
});

/** hole is the widest part of a chart without a line between two that have one, CSS pixels. */
const hole = (page: Page, title: string) =>
  page.locator(`[data-testid=chart][data-title="${title}"] canvas`).evaluate((canvas: HTMLCanvasElement) => {
    const color = getComputedStyle(document.documentElement).getPropertyValue("--series-1").trim();
    const wanted = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
    const { width, height } = canvas;
    const data = canvas.getContext("2d")?.getImageData(0, 0, width, height).data ?? [];
    const drawn = (x: number) =>
      Array.from({ length: height }, (_, y) => 4 * (y * width + x)).some((at) =>
        wanted.every((value, i) => Math.abs(data[at + i] - value) < 24),
      );
    const columns = Array.from({ length: width }, (_, x) => x).filter(drawn);
    return Math.max(0, ...columns.slice(1).map((x, i) => x - columns[i])) / devicePixelRatio;
  });

test("a hub that is killed and comes back five seconds later finds the page as it was", async ({ page }) => {
  test.setTimeout(90_000);
  const publish = (n: number) =>
    execFile("mosquitto_pub", [
      "-h",
      "127.0.0.1",
      "-p",
      process.env.PULSO_MQTT?.split(":")[1] ?? "",
      "-t",
      "devices/steady/telemetry",
      "-m",
      JSON.stringify({ level: n }),
    ]);
  let n = 0;
  const timer = setInterval(() => publish(n++), 250);
  try {
    await open(page, "/devices/steady?window=900");
    const chart = page.locator('[data-testid=chart][data-title="level"]');
    const points = async () => Number(await chart.getAttribute("data-points"));
    await expect.poll(points).toBeGreaterThan(8);
    await page.setViewportSize({ width: 1440, height: 500 });
    await page.locator("main").evaluate((main) => main.scrollTo(0, 120));
    const scrolled = await page.locator("main").evaluate((main) => main.scrollTop);
    expect(scrolled).toBeGreaterThan(0);
    await hub.end("SIGKILL");
    await expect(pill(page)).not.toHaveAttribute("data-state", "live", { timeout: 2_500 });
    await expect(page.locator("html")).toHaveAttribute("data-connection", "lost");
    await new Promise((done) => setTimeout(done, 5_000));
    hub = await serve(data);
    const back = Date.now();
    await live(page, 10_000);
    const took = Date.now() - back;
    console.log(`hub killed for 5 s: the page is live ${took} ms after the hub is ready`);
    expect(took).toBeLessThan(2_000);
    await expect(page).toHaveURL(/window=900/);
    expect(await page.locator("main").evaluate((main) => main.scrollTop)).toBe(scrolled);
    const before = await points();
    await expect.poll(points).toBeGreaterThan(before + 4);
    // What was said meanwhile was said to nobody: the line has a hole there, and no point.
    const { series } = await (await page.request.get("/api/v1/history?device=steady&field=level&points=5000")).json();
    const times: number[] = series[0].times;
    const holes = times
      .slice(1)
      .map((time, i) => time - times[i])
      .filter((gap) => gap > 4_000);
    expect(holes.length).toBeGreaterThanOrEqual(1);
    await expect.poll(() => hole(page, "level")).toBeGreaterThan(15);
    await page.screenshot({ path: `${results}/after-kill.png` });
  } finally {
    clearInterval(timer);
  }
});
