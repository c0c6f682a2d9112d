import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { open, results, watch } from "./page";

// Boards: made by keyboard, rearranged by keyboard and mouse, kept, shared, exported and imported, and never lost to another person's.

const [host, port] = (process.env.PULSO_MQTT ?? "").split(":") as [string, string];
const hostile = '<img src=x onerror="alert(1)">';

function publish(topic: string, message: string): void {
  execFileSync("mosquitto_pub", ["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", message]);
}

const panels = (page: Page) => page.getByTestId("panel");
const saved = (page: Page) => expect(page.getByTestId("saved")).toHaveAttribute("data-state", "saved");
const accessible = async (page: Page) => expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
/** order is the panels' names as they stand. */
const order = (page: Page) => panels(page).evaluateAll((found) => found.map((one) => one.getAttribute("aria-label")));

/** pick chooses a metric of a device by keyboard, in the picker that is open. */
async function pick(page: Page, device: string, field: string): Promise<void> {
  await expect(page.getByTestId("picker")).toBeVisible();
  await page.keyboard.type(device);
  await page.keyboard.press("Enter");
  await page.keyboard.type(field);
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("picker")).toHaveCount(0);
}

test.beforeAll(() => {
  publish("devices/north/telemetry", '{"pressure":3.25,"flow":17}');
  publish("devices/south/telemetry", '{"pressure":4.5,"level":80}');
});

test("a board of two devices is made by keyboard alone, and kept", async ({ page, browser }) => {
  const problems = watch(page);
  await open(page, "/boards");
  await page.getByTestId("board-name").focus();
  await page.keyboard.type("Púmps & valves");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/boards\/pumps-valves\?edit=1$/);
  await page.screenshot({ path: `${results}/empty.png` });

  for (const [device, field] of [
    ["north", "pressure"],
    ["south", "level"],
    ["north", "flow"],
  ] as const) {
    await page.getByTestId("add-panel").focus();
    await page.keyboard.press("Enter");
    await pick(page, device, field);
  }
  expect(await order(page)).toEqual(["pressure", "level", "flow"]);
  // A metric of another device beside it, in the same chart.
  await panels(page).first().getByTestId("add-series").press("Enter");
  await pick(page, "south", "pressure");
  const first = panels(page).first();
  await expect(first.getByTestId("series")).toHaveText([/north · pressure\s*3.25/, /south · pressure\s*4.5/]);
  await expect(first.getByTestId("chart")).not.toHaveAttribute("data-points", "0");

  // By keyboard: the second one step back, and the handle keeps the focus.
  await panels(page).nth(1).getByTestId("handle").focus();
  await page.keyboard.press("ArrowLeft");
  await expect.poll(() => order(page)).toEqual(["level", "pressure", "flow"]);
  await expect(panels(page).first().getByTestId("handle")).toBeFocused();
  await expect(page.getByText("level is now 1 of 3.")).toBeAttached();

  // By mouse: the third to the first place.
  const handle = await panels(page).nth(2).getByTestId("handle").boundingBox();
  const target = await panels(page).nth(0).boundingBox();
  if (handle === null || target === null) throw new Error("not on the screen");
  await page.mouse.move(handle.x + 10, handle.y + 10);
  await page.mouse.down();
  await page.mouse.move(target.x + 200, target.y + 60, { steps: 6 });
  await page.mouse.move(target.x + 40, target.y + 20, { steps: 6 });
  await page.mouse.up();
  await expect.poll(() => order(page)).toEqual(["flow", "level", "pressure"]);

  await panels(page).nth(1).getByTestId("wide").click();
  await panels(page).nth(1).getByTestId("panel-title").fill(hostile);
  await saved(page);
  await page.screenshot({ path: `${results}/edit.png` });
  await accessible(page);
  await page.getByTestId("add-panel").click();
  await accessible(page);
  await page.keyboard.press("Escape");

  const other = await (await browser.newContext()).newPage();
  for (const one of [page, other]) {
    await open(one, "/boards/pumps-valves");
    await expect(panels(one)).toHaveCount(3);
    expect(await order(one)).toEqual(["flow", hostile, "pressure"]);
  }
  await expect(panels(page).nth(1).locator("h2")).toHaveText(hostile);
  await accessible(page);
  await other.close();
  expect(problems).toEqual([]);
});

test("what two people change is not lost without a word", async ({ page, browser }) => {
  const other = await (await browser.newContext()).newPage();
  await open(page, "/boards/pumps-valves?edit=1");
  await open(other, "/boards/pumps-valves?edit=1");
  await page.getByTestId("board-title").fill("Mine");
  await saved(page);
  await other.getByTestId("board-title").fill("Theirs");
  await expect(other.getByTestId("conflict")).toBeVisible();
  await other.screenshot({ path: `${results}/conflict.png` });
  await other.getByRole("button", { name: "Take theirs" }).click();
  await expect(other.getByTestId("board-title")).toHaveValue("Mine");
  await other.getByTestId("board-title").fill("Theirs");
  await saved(other);
  await page.getByTestId("board-title").fill("Mine again");
  await expect(page.getByTestId("conflict")).toBeVisible();
  await page.getByRole("button", { name: "Keep mine" }).click();
  await saved(page);
  await open(other, "/boards/pumps-valves");
  await expect(other.locator("h1")).toHaveText("Mine again");
  await other.close();
});

test("a board goes out as a file and comes in again", async ({ page }) => {
  const problems = watch(page);
  await open(page, "/boards/pumps-valves");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId("export").click()]);
  expect(download.suggestedFilename()).toBe("pumps-valves.json");
  const board = JSON.parse(readFileSync(await download.path(), "utf8"));
  expect(board.panels).toHaveLength(3);

  await open(page, "/boards");
  const give = (text: string) =>
    page
      .getByTestId("import")
      .setInputFiles({ name: "b.json", mimeType: "application/json", buffer: Buffer.from(text) });
  board.panels[1].width = 7;
  await give(JSON.stringify(board));
  await expect(page.getByRole("alert")).toContainText("panels[1].width");
  await give("no JSON");
  await expect(page.getByRole("alert")).toContainText("JSON");
  board.panels[1].width = 1;
  await give(JSON.stringify({ ...board, name: hostile }));
  await expect(page).toHaveURL(/\/boards\/img-src-x-onerror-alert-1$/);
  await expect(page.locator("h1")).toHaveText(hostile);
  await expect(panels(page)).toHaveCount(3);
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: `${results}/phone.png` });
  await page.setViewportSize({ width: 1440, height: 900 });

  await page.goto("/boards");
  await accessible(page);
  const row = page.getByTestId("board").filter({ hasText: hostile });
  await row.getByRole("button").click();
  await expect(row.getByRole("button", { name: "Keep" })).toBeFocused();
  await row.getByRole("button", { name: "Delete" }).click();
  await expect(row).toHaveCount(0);
  expect(problems).toEqual([]);
});
