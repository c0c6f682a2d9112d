import { expect, test } from "@playwright/test";

const results = process.env.PULSO_RESULTS ?? "test-results";

test("the demo shows its fleet, with charts that move", async ({ page }) => {
  const began = Date.now();
  await page.goto("/devices");
  const online = page.locator('[data-testid=device-row][data-status="online"]');
  await expect.poll(() => online.count(), { timeout: 20_000 }).toBeGreaterThanOrEqual(20);
  const value = online.first().getByTestId("device-value");
  const before = await value.textContent();
  await expect(value).not.toHaveText(before ?? "");
  console.log(`twenty devices, and a value that moved, after ${Date.now() - began} ms`);

  await online.first().click();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/devices\/./);
  const chart = page.getByTestId("chart").first();
  const points = Number(await chart.getAttribute("data-points"));
  await expect.poll(async () => Number(await chart.getAttribute("data-points"))).toBeGreaterThan(points + 2);
  await page.screenshot({ path: `${results}/device.png` });

  await page.goto("/");
  await expect(page.getByTestId("event-row").first()).toBeVisible();
  await page.waitForTimeout(3000); // for a picture with something on it
  await page.screenshot({ path: `${results}/overview.png` });
});
