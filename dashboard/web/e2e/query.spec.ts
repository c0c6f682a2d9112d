import { execFileSync } from "node:child_process";
import { expect, test } from "@playwright/test";
import { open, results, watch } from "./page";

// PromQL, with completion. Against a hub of its own (PULSO_URL, PULSO_MQTT).
const [host, port] = (process.env.PULSO_MQTT ?? "").split(":") as [string, string];
const hostile = '<img src=x onerror="window.pwned=1">';

test.beforeAll(() => {
  const begin = Date.now() - 200_000;
  for (const [device, level] of [
    ["kiln", 20],
    ["cellar", 7],
    [hostile, 1],
  ] as const) {
    execFileSync("mosquitto_pub", ["-h", host, "-p", port, "-q", "1", "-t", `devices/${device}/telemetry`, "-l"], {
      input: Array.from({ length: 200 }, (_, i) =>
        JSON.stringify({ warmth: level, timestamp: new Date(begin + 1_000 * i).toISOString() }),
      ).join("\n"),
    });
  }
});

test("an expression is completed by keyboard, asked, drawn and kept in the URL", async ({ page }) => {
  const problems = watch(page);
  await open(page, "/query");
  const box = page.getByTestId("expression");
  const options = page.getByTestId("choices").getByRole("option");
  await expect(page.getByRole("button", { name: "topk(5, warmth)" })).toBeVisible();
  await box.pressSequentially("max_ov");
  await expect(options.first()).toContainText("max_over_time");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  await expect(box).toHaveValue("max_over_time");
  await box.pressSequentially("(war");
  await expect(options.first()).toHaveText("warmth");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await box.pressSequentially("{dev");
  await expect(options.first()).toHaveText("device");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await box.pressSequentially('="ki');
  await expect(options.first()).toHaveText("kiln");
  await page.screenshot({ path: `${results}/completion.png` });
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await box.pressSequentially("}[1m])");
  await expect(box).toHaveValue('max_over_time(warmth{device="kiln"}[1m])');
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/expr=max_over_time/);
  await expect(page.getByTestId("answer")).toHaveAttribute("data-series", "1");
  await expect(page.getByTestId("answer-rows")).toContainText('{device="kiln"');
  expect(problems).toEqual([]);
});

test("an answer shows all series as text, the highest first, and goes on by itself", async ({ page }) => {
  const problems = watch(page);
  await open(page, "/query?expr=sort(warmth)");
  await expect(page.getByTestId("answer")).toHaveAttribute("data-series", "3");
  const rows = page.getByTestId("answer-rows").locator("tr");
  await expect(rows.nth(0)).toContainText("kiln");
  await expect(rows.nth(2)).toContainText("onerror=");
  expect(await page.evaluate(() => "pwned" in window)).toBe(false);
  await page.screenshot({ path: `${results}/answer.png` });
  await page.waitForResponse((response) => response.url().includes("query_range"), { timeout: 15_000 });
  expect(problems).toEqual([]);
});

test("what the hub refuses is said in its words, and the answer before stays", async ({ page }) => {
  await open(page, "/query?expr=warmth");
  await expect(page.getByTestId("answer")).toHaveAttribute("data-series", "3");
  await page.getByTestId("expression").fill("sum(warmth");
  await page.getByTestId("ask").click();
  await expect(page.getByTestId("query-problem")).toContainText(/parse error|unclosed/);
  await expect(page.getByTestId("answer")).toBeVisible();
});
