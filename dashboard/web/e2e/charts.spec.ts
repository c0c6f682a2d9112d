import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { open, pill, results, watch } from "./page";

// Charts, their range and what can be taken along of them: against a hub of its own (PULSO_URL, PULSO_MQTT).
test.describe.configure({ mode: "serial" });

const [host, port] = (process.env.PULSO_MQTT ?? "").split(":") as [string, string];
const begin = Math.floor(Date.now() / 1000) * 1000 - 240_000;
/** inside and outside are what the greenhouse measured, one a second. */
const inside = (n: number) => 20 + n / 10;
const outside = (n: number) => 10 + Math.sin(n / 9);

const chart = (page: Page, title: string) => page.locator(`[data-testid=chart][data-title="${title}"]`);
const points = async (page: Page, title: string) => Number(await chart(page, title).getAttribute("data-points"));
const range = (page: Page) =>
  (new URL(page.url()).searchParams.get("range") ?? "").split("-").map(Number) as [number, number];
const back = (page: Page) => page.getByTestId("back-to-live");

/** drag selects a part of a chart, from one share of its width to another. */
async function drag(page: Page, title: string, from: number, to: number): Promise<void> {
  const box = await chart(page, title).locator(".plot-over").boundingBox();
  if (box === null) throw new Error("no chart");
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * from, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * to, y, { steps: 5 });
  await page.mouse.up();
}

async function saved(page: Page, as: "png" | "csv"): Promise<{ name: string; bytes: Buffer }> {
  await chart(page, "inside").hover();
  const coming = page.waitForEvent("download");
  await chart(page, "inside").getByTestId(`save-${as}`).click();
  const download = await coming;
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

test.beforeAll(() => {
  const samples = Array.from({ length: 200 }, (_, n) =>
    JSON.stringify({
      inside: inside(n),
      outside: outside(n),
      "=cmd|' /C calc'!A1": n,
      timestamp: new Date(begin + n * 1000).toISOString(),
    }),
  );
  execFileSync("mosquitto_pub", ["-h", host, "-p", port, "-q", "1", "-t", "devices/greenhouse/telemetry", "-l"], {
    input: samples.join("\n"),
  });
});

test("dragging zooms all charts, a double click returns, and the URL shows another person the same", async ({
  page,
}) => {
  const said = watch(page);
  await open(page, "/devices/greenhouse");
  await expect.poll(() => points(page, "inside")).toBe(200);
  await drag(page, "inside", 0.3, 0.6);
  await expect(back(page)).toBeVisible();
  await expect(page).toHaveURL(/range=\d+-\d+/);
  for (const title of ["inside", "outside"]) await expect.poll(() => points(page, title)).toBeLessThan(120);
  const [from, to] = range(page);
  expect(to - from).toBeGreaterThan(30_000);
  const shown = [await points(page, "inside"), await points(page, "outside")];
  expect(shown[0]).toBe(shown[1]);
  await page.screenshot({ path: `${results}/zoomed.png` });

  // On a narrow window too, nothing lies over anything.
  await page.setViewportSize({ width: 900, height: 900 });
  const [pillBox, backBox] = [await pill(page).boundingBox(), await back(page).boundingBox()];
  expect(backBox?.x).toBeGreaterThan((pillBox?.x ?? 0) + (pillBox?.width ?? 0));
  await page.setViewportSize({ width: 1440, height: 900 });

  // What arrives is counted, and the range stands.
  execFileSync("mosquitto_pub", [
    "-h",
    host,
    "-p",
    port,
    "-q",
    "1",
    "-t",
    "devices/greenhouse/telemetry",
    "-m",
    '{"inside":1}',
  ]);
  await expect(back(page)).toContainText("+1 ");
  expect(await points(page, "inside")).toBe(shown[0]);

  const other = await page.context().newPage();
  await open(other, new URL(page.url()).pathname + new URL(page.url()).search);
  await expect(back(other)).toBeVisible();
  await expect.poll(() => points(other, "inside")).toBe(shown[0]);
  expect(range(other)).toEqual([from, to]);
  await other.close();

  await chart(page, "outside").locator(".plot-over").dblclick();
  await expect(back(page)).toBeHidden();
  await expect.poll(() => points(page, "outside")).toBe(200);
  expect(page.url()).not.toContain("range=");
  expect(said).toEqual([]);
});

test("a chart is read and zoomed by keyboard", async ({ page }) => {
  await open(page, "/devices/greenhouse");
  await expect.poll(() => points(page, "inside")).toBeGreaterThan(199);
  const plot = chart(page, "inside").getByTestId("plot");
  await plot.focus();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  await expect(chart(page, "inside").locator(".readout b")).toBeVisible();
  await expect(chart(page, "outside").locator(".readout b")).toBeVisible();
  await page.keyboard.press("+");
  await expect(page).toHaveURL(/range=/);
  const [from, to] = range(page);
  await page.keyboard.press("+");
  await expect.poll(() => range(page)[1] - range(page)[0]).toBeLessThan((to - from) * 0.51);
  await page.keyboard.press("-");
  await expect.poll(() => range(page)[1] - range(page)[0]).toBeGreaterThan((to - from) * 0.9);
  await page.keyboard.press("Escape");
  await expect(back(page)).toBeHidden();

  await page.keyboard.press("]");
  await expect(page).toHaveURL(/window=900/);
  await page.keyboard.press("[");
  await expect(page).not.toHaveURL(/window=/);
});

test("a range is given by its times", async ({ page }) => {
  await open(page, "/devices/greenhouse");
  await page.getByTestId("window").selectOption("-1");
  const dialog = page.getByTestId("range-dialog");
  await expect(dialog).toBeVisible();
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 160)}`)).toEqual([]);
  const field = (time: number) =>
    new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace(/:00$/, "");
  await dialog.getByTestId("range-from").fill(field(begin + 50_000));
  await dialog.getByTestId("range-to").fill(field(begin + 80_000));
  await page.screenshot({ path: `${results}/range.png` });
  await dialog.getByTestId("range-show").click();
  await expect.poll(() => range(page)).toEqual([begin + 50_000, begin + 80_000]);
  // Those within, and one on each side so that the line enters and leaves.
  await expect.poll(() => points(page, "inside")).toBe(33);

  const csv = await saved(page, "csv");
  expect(csv.name).toMatch(/^inside-.*\.csv$/);
  const truth = Array.from({ length: 31 }, (_, i) => 50 + i).map(
    (n) => `${new Date(begin + n * 1000).toISOString()},${inside(n)}`,
  );
  expect(csv.bytes.toString()).toBe(['time,"inside"', ...truth, ""].join("\r\n"));
});

test("a picture has the chart in it", async ({ page }) => {
  await open(page, "/devices/greenhouse");
  await expect.poll(() => points(page, "inside")).toBeGreaterThan(199);
  const { name, bytes } = await saved(page, "png");
  expect(name).toMatch(/^inside-.*\.png$/);
  const size = await chart(page, "inside").getByTestId("plot").boundingBox();
  const seen = await page.evaluate(async (base64) => {
    const blob = new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/png" });
    const picture = await createImageBitmap(blob);
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: picture.width, height: picture.height });
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, picture.width, picture.height);
    const [red, green, blue] = data;
    // Columns, from left to right, that have a pixel like the line: far more blue than red.
    const columns = new Set<number>();
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 2] - data[i] > 80) columns.add((i / 4) % picture.width);
    }
    return { width: picture.width, background: [red, green, blue], line: columns.size };
  }, bytes.toString("base64"));
  expect(seen.width).toBeGreaterThanOrEqual(2 * (size?.width ?? Number.NaN));
  expect(seen.line).toBeGreaterThan(seen.width / 3);
  const surface = await page.evaluate(() => {
    document.body.style.color = "var(--surface)";
    return getComputedStyle(document.body).color;
  });
  expect(`rgb(${seen.background.join(", ")})`).toBe(surface);
});
