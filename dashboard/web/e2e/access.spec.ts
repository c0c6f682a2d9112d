import { expect, type Page, test } from "@playwright/test";
import axe from "axe-core";
import { fits, go, live, open, settled, watch } from "./page";
import { screens, sizes } from "./screens";

// Every screen in both themes, both languages and at both sizes, by the rules of WCAG 2.2 A and AA that a program can check. A
// theme is nothing but colours: of each pair of combinations that differ in it alone, one is looked over by all rules and the
// other by those about colours.
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const ofColors = ["color-contrast", "link-in-text-block"];
const combinations = [
  { language: "en", theme: "dark", runOnly: tags },
  { language: "en", theme: "light", runOnly: ofColors },
  { language: "es", theme: "dark", runOnly: ofColors },
  { language: "es", theme: "light", runOnly: tags },
] as const;

/** Pictures of every screen are kept here, for people. */
const pictures = `${process.env.PULSO_RESULTS ?? "test-results"}/../screens`;

/** violations are what is wrong with the page as it is. */
async function violations(page: Page, runOnly: readonly string[]): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe.source);
  return page.evaluate(
    async (options) => {
      const found = await (window as unknown as { axe: typeof axe }).axe.run(document, options);
      return found.violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`,
      );
    },
    { runOnly: [...runOnly], resultTypes: ["violations" as const] },
  );
}

/** speak chooses a language, paint a theme, as a person does. */
async function speak(page: Page, language: string): Promise<void> {
  await go(page, "/settings");
  await page.locator(`#language-${language}`).check();
  await expect(page.locator("html")).toHaveAttribute("lang", language);
}
async function paint(page: Page, theme: string): Promise<void> {
  const shown = () => page.locator("html").getAttribute("data-theme");
  if ((await shown()) !== theme) await page.keyboard.press("t");
  await expect.poll(shown).toBe(theme);
}

/** there is something of everything to look at: a device that is online, and a topic of its. */
async function something(page: Page): Promise<{ device: string; topic: string; board: string }> {
  await open(page, "/devices?status=online");
  const row = page.getByTestId("device-row").first();
  await expect(row).toBeVisible();
  const device = (await row.getAttribute("data-device")) ?? "";
  await page.request.put("/api/v1/boards/greenhouses", {
    data: { name: "Greenhouses", version: "", panels: [] },
    headers: { origin: new URL(page.url()).origin },
  });
  return { device, topic: `devices/${device}/telemetry`, board: "greenhouses" };
}

for (const [size, viewport] of Object.entries(sizes)) {
  test(`all can use every screen: ${size}`, async ({ browser }) => {
    test.setTimeout(240_000);
    const context = await browser.newContext({
      viewport,
      hasTouch: size === "phone",
      reducedMotion: "reduce",
    });
    const page = await context.newPage();
    const problems = watch(page, /404|405/); // What is not there is asked for, too.
    const { device, topic, board } = await something(page);
    let looked = 0;
    for (const { language, theme, runOnly } of combinations) {
      await speak(page, language);
      for (const screen of screens(device, board, topic)) {
        await go(page, screen.path);
        await paint(page, theme);
        await live(page);
        const close = await screen.show?.(page);
        await page
          .locator("[aria-busy=true]")
          .waitFor({ state: "detached", timeout: 5_000 })
          .catch(() => undefined);
        await settled(page);
        const name = `${language} ${theme} ${size} ${screen.name}`;
        expect.soft(await violations(page, runOnly), name).toEqual([]);
        expect.soft(await fits(page), name).toBe("");
        if (language === "en") await page.screenshot({ path: `${pictures}/${size}-${theme}-${screen.name}.png` });
        looked++;
        await close?.();
      }
    }
    console.log(`axe: ${looked} combinations, ${size}`);
    expect(problems).toEqual([]);
    await context.close();
  });
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
