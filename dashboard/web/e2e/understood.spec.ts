import { execFileSync } from "node:child_process";
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";

// What a device said in the past, and how it was understood: against a hub of its own (PULSO_URL, PULSO_MQTT). The tests build
// on each other.
test.describe.configure({ mode: "serial" });

const [host, port] = (process.env.PULSO_MQTT ?? "").split(":") as [string, string];
const results = process.env.PULSO_RESULTS ?? "test-results";

function publish(topic: string, message: string): void {
  execFileSync("mosquitto_pub", ["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", message]);
}

/** watch collects what a page says on its console as an error. */
function watch(page: Page): string[] {
  const said: string[] = [];
  page.on("pageerror", (e) => said.push(e.message));
  page.on("console", (m) => {
    // A 409 is an answer that one test wants.
    if (m.type() === "error" && !m.text().includes("409")) said.push(m.text());
  });
  return said;
}

/** kept is the samples of the greenhouse that the history has, by the hub's own account. */
async function kept(page: Page): Promise<{ times: number[]; last: number[] }> {
  const answer = await page.request.get("/api/v1/history?device=greenhouse&field=level&points=5000");
  const { series } = await answer.json();
  return series[0] ?? { times: [], last: [] };
}

const points = (page: Page, title: string) =>
  page
    .locator(`[data-testid=chart][data-title="${title}"]`)
    .getAttribute("data-points")
    .then((count) => Number(count));

/** drawn is the values in the chart's table, newest first, at most twenty. */
async function drawn(page: Page): Promise<number[]> {
  const cells = page.getByTestId("track").first().locator("tbody td:nth-child(2)");
  return (await cells.allTextContents()).map(Number);
}

test("live values continue the past: none is missing, and none is there twice", async ({ page }) => {
  const said = watch(page);
  // More than a snapshot of the stream has, so that the beginning can only come from the history.
  // They were taken a second apart, by the device's clock, and come all at once.
  const begin = Date.now() - 800_000;
  const sample = (n: number, time = begin + 1_000 * n) =>
    JSON.stringify({ level: n, timestamp: new Date(time).toISOString() });
  execFileSync("mosquitto_pub", ["-h", host, "-p", port, "-q", "1", "-t", "devices/greenhouse/telemetry", "-l"], {
    input: Array.from({ length: 700 }, (_, i) => sample(i + 1)).join("\n"),
  });
  await expect.poll(async () => (await kept(page)).times.length, { timeout: 20_000 }).toBe(700);

  await page.goto("/devices/greenhouse?window=3600");
  await expect(page.getByTestId("charts")).toHaveAttribute("aria-busy", "false");
  await expect.poll(() => points(page, "level")).toBe(700);
  // One by one, since those of a tenth of a second come as one point.
  for (let i = 701; i <= 720; i++) {
    publish("devices/greenhouse/telemetry", sample(i));
    await expect.poll(() => points(page, "level"), { intervals: [50] }).toBe(i);
  }
  await page.getByTestId("track").first().getByRole("button", { name: "Table" }).click();
  expect(await drawn(page)).toEqual(Array.from({ length: 20 }, (_, i) => 720 - i));

  // Another range asks the hub again, and then the history has what was live before.
  await page.getByTestId("window").selectOption("21600");
  await expect(page).toHaveURL(/window=21600/);
  await page.waitForTimeout(6_000);
  await page.reload();
  await expect.poll(() => points(page, "level")).toBe(720);
  publish("devices/greenhouse/telemetry", sample(721));
  await expect.poll(() => points(page, "level")).toBe(721);
  expect((await kept(page)).last.slice(0, 720)).toEqual(Array.from({ length: 720 }, (_, i) => i + 1));

  // Back in time there is nothing, and it says so; forward again is now.
  await page.getByTestId("earlier").click();
  await expect(page.getByTestId("back-to-live")).toBeVisible();
  await page.getByTestId("later").click();
  await expect(page.getByTestId("back-to-live")).toBeHidden();
  await page.screenshot({ path: `${results}/history.png` });
  expect(said).toEqual([]);
});

test("the page says how a message was understood, and an override changes it", async ({ page }) => {
  const said = watch(page);
  publish("devices/boiler/telemetry", '{"t":"21.5","raw":512,"mode":"<img src=x onerror=alert(1)>"}');
  await page.goto("/devices/boiler?tab=understood");
  const topic = page.locator('[data-testid=explained][data-topic="devices/boiler/telemetry"]');
  await expect(topic.getByTestId("explained-format")).toHaveText("json");
  expect(await topic.getByTestId("explained-why").locator("li").count()).toBeGreaterThan(1);
  await expect(topic).toContainText('"raw": 512');
  await expect(topic).toContainText("<img src=x onerror=alert(1)>");
  await page.screenshot({ path: `${results}/understood.png`, fullPage: true });

  await topic.getByTestId("override-open").click();
  const form = topic.getByTestId("override");
  await form.locator("input[name=device-name]").fill("Boiler in the cellar");
  const raw = form.locator('[data-testid=override-field][data-field="raw"]');
  await raw.locator("input[name=name]").fill("pressure");
  await raw.locator("input[name=unit]").fill("bar");
  await raw.locator("input[name=scale]").fill("0.01");
  await form.getByTestId("override-try").click();
  await expect(form.getByTestId("compared")).toContainText("5.12 bar");
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 160)}`)).toEqual([]);
  await page.screenshot({ path: `${results}/override.png`, fullPage: true });
  await form.getByTestId("override-save").click();
  await expect(topic.getByTestId("override-said")).toContainText("Saved");

  publish("devices/boiler/telemetry", '{"t":"21.5","raw":600,"mode":"eco"}');
  await expect(page.locator("h1")).toHaveText("Boiler in the cellar");
  await page.getByTestId("tab-live").click();
  const track = page.locator('[data-testid=track][data-series="pressure"]');
  await expect(track.getByTestId("track-value")).toHaveText("6");
  await expect(track).toContainText("bar");
  await page.goto("/devices");
  await expect(page.locator('[data-testid=device-row][data-device="boiler"]')).toContainText("Boiler in the cellar");
  expect(said).toEqual([]);
});

test("who saves an override behind another's is told so, and loses nothing", async ({ page }) => {
  const said = watch(page);
  await page.goto("/devices/boiler?tab=understood");
  const topic = page.locator('[data-testid=explained][data-topic="devices/boiler/telemetry"]');
  // What is written before the hub has said what it finds stays.
  let answer = () => {};
  const written = new Promise<void>((resolve) => {
    answer = resolve;
  });
  await page.route("**/api/v1/decode", async (route) => {
    await written;
    await route.continue();
  });
  await topic.getByTestId("override-change").click();
  const form = topic.getByTestId("override");
  await form.locator("input[name=kind]").fill("boiler");
  answer();
  await expect(form.locator('[data-testid=override-field][data-field="mode"]')).toBeVisible();
  await expect(form.locator("input[name=kind]")).toHaveValue("boiler");
  const { version, overrides } = await (await page.request.get("/api/v1/overrides")).json();
  const other = { filter: "elsewhere/#", kind: "lamp" };
  await page.request.put("/api/v1/overrides", { data: { version, overrides: [...overrides, other] } });
  await form.getByTestId("override-save").click();
  await expect(form.getByTestId("override-problem")).toContainText("Somebody else");
  await expect(form.locator("input[name=kind]")).toHaveValue("boiler");
  await form.getByTestId("override-save").click();
  await expect(topic.getByTestId("override-said")).toContainText("Saved");
  const now = await (await page.request.get("/api/v1/overrides")).json();
  expect(now.overrides).toHaveLength(2);
  expect(now.overrides[0].kind).toBe("boiler");

  await topic.getByTestId("override-change").click();
  await topic.getByTestId("override-remove").click();
  await expect(topic.getByTestId("override-said")).toContainText("Removed");
  expect(said).toEqual([]);
});

test("a device is exported, and deleted after a question that names it", async ({ page }) => {
  const said = watch(page);
  await page.goto("/devices/greenhouse");
  const download = page.waitForEvent("download");
  await page.getByTestId("export-csv").click();
  expect((await download).suggestedFilename()).toMatch(/greenhouse\.csv$/);

  await page.getByTestId("delete-device").click();
  const dialog = page.getByTestId("delete-dialog");
  await expect(dialog).toContainText("greenhouse");
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await page.getByTestId("delete-device").click();
  await page.getByTestId("delete-confirm").click();
  await expect(page).toHaveURL(/\/devices$/);
  await expect(page.locator('[data-testid=device-row][data-device="boiler"]')).toBeVisible();
  await expect(page.locator('[data-testid=device-row][data-device="greenhouse"]')).toHaveCount(0);
  expect((await kept(page)).times).toEqual([]);
  expect(said).toEqual([]);
});
