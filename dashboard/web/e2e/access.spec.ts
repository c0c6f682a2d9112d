import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";

// Every screen, in both themes and at both sizes, by the rules of WCAG 2.2 A and AA that a program can check.
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

for (const colorScheme of ["dark", "light"] as const) {
  for (const [size, viewport] of [
    ["desktop", { width: 1280, height: 800 }],
    ["phone", { width: 390, height: 844 }],
  ] as const) {
    test(`all can use each screen, ${colorScheme}, ${size}`, async ({ browser }) => {
      test.setTimeout(240_000); // Ten screens, each looked over whole.
      const context = await browser.newContext({ colorScheme, viewport, hasTouch: size === "phone" });
      const page = await context.newPage();
      await page.goto("/devices?status=online");
      const row = page.getByTestId("device-row").first();
      await expect(row).toBeVisible();
      const id = encodeURIComponent((await row.getAttribute("data-device")) ?? "");
      for (const path of [
        "/",
        "/?chat=open",
        "/devices",
        `/devices?selected=${id}`,
        `/devices/${id}`,
        `/devices/${id}?tab=understood`,
        `/devices/${id}?tab=messages`,
        "/topics",
        "/connect",
        "/devices/nobody%2Fhere",
      ]) {
        await page.goto(path);
        await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "live");
        await page.waitForTimeout(700);
        const { violations } = await new AxeBuilder({ page }).withTags(rules).analyze();
        const said = violations.map(
          ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`,
        );
        expect.soft(said, path).toEqual([]);
      }
      await context.close();
    });
  }
}

test("a keyboard alone leads through the screens", async ({ page }) => {
  await page.goto("/");
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "live");
  await page.keyboard.press("?");
  await expect(page.getByTestId("help")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByTestId("help")).toBeHidden();
  await page.keyboard.press("g");
  await page.keyboard.press("d");
  await expect(page).toHaveURL(/\/devices$/);
  await expect(page.getByTestId("device-row").first()).toBeVisible();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("chart").first()).toBeVisible();
  await page.keyboard.press("Space");
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "paused");
  await page.keyboard.press("l");
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "live");
  const before = await page.locator("html").getAttribute("data-theme");
  await page.keyboard.press("t");
  expect(await page.locator("html").getAttribute("data-theme")).not.toBe(before);
  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await expect(page.getByTestId("topic-row").first()).toBeVisible();
  await page.keyboard.press("c");
  await expect(page.getByTestId("chat")).toBeVisible();
});
