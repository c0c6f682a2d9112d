import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";

// The page of contracts: against a hub of its own (PULSO_URL) without accounts. The tests build on each other.
test.describe.configure({ mode: "serial" });

const publish = (page: Page, topic: string, data: string) =>
  page.request.post(`/api/v1/publish?topic=${encodeURIComponent(topic)}`, { data });

test("a contract is learned from what was seen, tried, kept and made strict; by keyboard alone", async ({ page }) => {
  for (let i = 0; i < 25; i++) {
    expect((await publish(page, `plant/${i % 2}/climate`, `{"temperature":${i}.5}`)).status()).toBe(200);
  }
  expect((await publish(page, "plant/0/climate", "<img src=x onerror=alert(1)>")).status()).toBe(200);
  await page.goto("/contracts");
  await expect(page.getByText("There are no contracts")).toBeVisible();
  const learn = page.locator("[name=learn]");
  await learn.focus();
  await page.keyboard.type("plant/+/climate");
  await page.keyboard.press("Enter");
  await expect(page.getByText("Learned from the newest 25 messages of 2 topics; 1 were not JSON.")).toBeVisible();
  const schema = page.locator("[name=schema]");
  await expect(schema).toHaveValue(/"temperature": \{/);
  await page.getByRole("button", { name: "Try it on the past" }).press("Enter");
  await expect(page.getByText("Of the newest 26 messages of 2 topics 1 break it.")).toBeVisible();
  await page.locator("summary", { hasText: "Examples" }).press("Enter");
  await expect(page.getByRole("cell", { name: "<img src=x onerror=alert(1)>" })).toBeVisible();
  await page.locator("form[action='/contracts/keep'] [name=name]").fill("climate");
  await page.getByRole("button", { name: "Keep it" }).press("Enter");
  await expect(page.getByText("The contract counts now.")).toBeVisible();
  expect((await publish(page, "plant/0/climate", '{"temperature":"warm"}')).status()).toBe(200);
  await page.goto("/contracts");
  const card = page.getByRole("region", { name: "climate", exact: true });
  await expect(card).toContainText("broken: 1");
  await expect(card).toContainText("/temperature: type");
  await card.getByLabel("Mode: climate", { exact: true }).selectOption("reject");
  await card.getByRole("button", { name: "Set the mode: climate" }).press("Enter");
  await expect(card).toContainText("rejected");
  const refused = await publish(page, "plant/0/climate", '{"temperature":"warm"}');
  expect(refused.status()).toBe(422);
  expect(await refused.text()).toContain("/temperature: got string, want number");
});

test("what is wrong is said, and what was written stays", async ({ page }) => {
  await page.goto("/contracts");
  await page.getByRole("button", { name: "Edit: climate" }).click();
  const schema = page.locator("[name=schema]");
  await expect(schema).toHaveValue(/"temperature": \{/);
  await schema.fill('{"$ref":"http://example.com/x"}');
  await page.getByRole("button", { name: "Keep it" }).click();
  await expect(page.getByRole("alert")).toContainText("refers to something else");
  await expect(schema).toHaveValue('{"$ref":"http://example.com/x"}');
  await expect(page.locator("form[action='/contracts/keep'] [name=name]")).toHaveValue("climate");
});

for (const colorScheme of ["dark", "light"] as const) {
  for (const locale of ["en", "es"]) {
    for (const viewport of [
      { width: 1280, height: 800 },
      { width: 390, height: 844 },
    ]) {
      test(`the page is accessible: ${colorScheme}, ${locale}, ${viewport.width}`, async ({ browser }) => {
        const context = await browser.newContext({ colorScheme, locale, viewport });
        const page = await context.newPage();
        await page.goto("/contracts?learn=plant/%2B/climate");
        await expect(page.locator("html")).toHaveAttribute("lang", locale);
        for (const details of await page.locator("summary").all()) {
          await details.click();
        }
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 160)}`)).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(viewport.width);
        await context.close();
      });
    }
  }
}

test("a contract is removed", async ({ page }) => {
  await page.goto("/contracts");
  await page.getByRole("button", { name: "Remove: climate" }).click();
  await expect(page.getByText("The contract is gone.")).toBeVisible();
  await expect(page.getByText("There are no contracts")).toBeVisible();
});
