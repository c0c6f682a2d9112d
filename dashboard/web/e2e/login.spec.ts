import { execFileSync } from "node:child_process";
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { live } from "./page";

// Accounts in the browser: against a hub of its own (PULSO_URL) whose data folder is PULSO_DATA, with the person anna, who
// administers and whose password is PULSO_PASSWORD. The tests build on each other.
test.describe.configure({ mode: "serial" });

const password = process.env.PULSO_PASSWORD ?? "";
const pulso = (...args: string[]) =>
  execFileSync(process.env.PULSO_BIN ?? "", [...args, "--data", process.env.PULSO_DATA ?? ""], { encoding: "utf8" });

async function login(page: Page, user: string, secret: string): Promise<void> {
  await expect(page.locator("input[name=user]")).toBeFocused();
  await page.keyboard.type(user);
  await page.keyboard.press("Tab");
  await page.keyboard.type(secret);
  await page.keyboard.press("Enter");
}

const rowOf = (page: Page, name: string) =>
  page.locator("tr", { has: page.getByRole("rowheader", { name, exact: true }) });

async function accessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 160)}`)).toEqual([]);
}

test("who is not logged in is led to the login, and from there back; by keyboard alone", async ({ page }) => {
  await page.goto("/devices?q=lamp");
  await expect(page).toHaveURL(/\/login\?next=/);
  await login(page, "anna", "wrong password");
  await expect(page.getByRole("alert")).toContainText("not right");
  await expect(page.locator("input[name=password]")).toBeFocused();
  await page.keyboard.type(password); // the name is there already
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/devices\?q=lamp/);
  await live(page);
  expect(await page.evaluate(() => document.cookie)).toBe("");
});

for (const colorScheme of ["dark", "light"] as const) {
  for (const locale of ["en", "es"]) {
    for (const viewport of [
      { width: 1280, height: 800 },
      { width: 390, height: 844 },
    ]) {
      test(`the pages are accessible: ${colorScheme}, ${locale}, ${viewport.width}`, async ({ browser }) => {
        const context = await browser.newContext({ colorScheme, locale, viewport });
        const page = await context.newPage();
        await page.goto("/account?as=anna&topic=x");
        await expect(page.locator("html")).toHaveAttribute("lang", locale);
        await accessible(page);
        await login(page, "anna", password);
        await expect(page.locator("h2").first()).toHaveText("anna");
        await accessible(page);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(viewport.width);
        await context.close();
      });
    }
  }
}

test("an administrator adds, changes and revokes; a secret is shown once", async ({ page }) => {
  await page.goto("/account");
  await login(page, "anna", password);
  const add = page.locator("form[action='/account/add']");
  await add.locator("select").selectOption("device");
  await add.locator("[name=id]").fill("lamp");
  await add.locator("[name=roles]").fill("device");
  await add.locator("[name=roles]").press("Enter");
  const secret = await page.locator(".made code").textContent();
  expect(secret).toMatch(/^[a-z2-7]{32}$/);
  await page.goto("/account");
  expect(await page.content()).not.toContain(secret);
  const row = rowOf(page, "lamp");
  await row.locator("[name=roles]").fill("king");
  await row.locator("[name=roles]").press("Enter");
  await expect(page.getByRole("alert")).toContainText('there is no role "king"');
  const role = page.locator("form[action='/account/role']");
  await role.locator("[name=name]").fill("king");
  await role.locator("[name=rules]").fill("allow all castle/#\n<img src=x onerror=alert(1)>");
  await role.getByRole("button").press("Enter");
  await expect(page.getByRole("alert")).toContainText("<img src=x onerror=alert(1)>");
  await role.locator("[name=name]").fill("king");
  await role.locator("[name=rules]").fill("allow all castle/#");
  await role.getByRole("button").press("Enter");
  await row.locator("[name=roles]").fill("king");
  await row.locator("[name=roles]").press("Enter");
  await page.goto("/account?as=lamp&topic=castle/gate");
  await expect(rowOf(page, "publish")).toContainText("king: allow all castle/#");
  await rowOf(page, "lamp").getByRole("button", { name: "Revoke: lamp" }).click();
  await expect(rowOf(page, "lamp")).toHaveCount(0);
});

test("who is revoked is led out at once, and others stay", async ({ browser, page }) => {
  const made = pulso("user", "add", "ben");
  const context = await browser.newContext();
  const other = await context.newPage();
  await other.goto("/");
  await login(other, "ben", made.match(/once: (\S+)/)?.[1] ?? "");
  await live(other);
  await page.goto("/");
  await login(page, "anna", password);
  await live(page);
  pulso("revoke", "ben");
  await expect(other).toHaveURL(/\/login/, { timeout: 3_000 });
  await page.goto("/account");
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page).toHaveURL(/\/login/);
  await context.close();
});
