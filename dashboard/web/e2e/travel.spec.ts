import { execFileSync } from "node:child_process";
import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";

// Time travel: the page shows what was, says so, catches up, and comes back.

const [host, port] = (process.env.PULSO_MQTT ?? "").split(":") as [string, string];
const results = process.env.PULSO_RESULTS ?? "test-results";

function publish(topic: string, message: string): void {
  execFileSync("mosquitto_pub", ["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", message]);
}

test("the past is shown as it was, and left again", async ({ page }) => {
  publish("devices/traveller/telemetry", '{"level":11}');
  await page.goto("/devices/traveller");
  await expect(page.getByText("11", { exact: true }).first()).toBeVisible();
  await page.waitForTimeout(1_500);
  const between = Date.now();
  await page.waitForTimeout(1_500);
  publish("devices/traveller/telemetry", '{"level":77}');
  await expect(page.getByText("77", { exact: true }).first()).toBeVisible();

  await page.goto(`/devices/traveller?at=${between}&speed=0`);
  await expect(page.getByTestId("past")).toBeVisible();
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "past");
  await expect(page.getByText("11", { exact: true }).first()).toBeVisible();
  await expect(page.getByText("77", { exact: true })).toHaveCount(0);
  await expect(page).toHaveTitle(/^The past: /);
  await page.screenshot({ path: `${results}/past.png` });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: `${results}/past-phone.png` });
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations).toEqual([]);
  await page.setViewportSize({ width: 1440, height: 900 });

  // It stays the past on another screen, and the chat takes nothing.
  await page.goto(`/?at=${between}&speed=0&chat=open`);
  await expect(page.getByTestId("past")).toBeVisible();
  await expect(page.getByTestId("chat")).toContainText("nothing can be sent");
  await page.screenshot({ path: `${results}/past-overview.png` });
  await page.getByRole("link", { name: "Devices", exact: true }).first().click();
  await expect(page).toHaveURL(/at=\d+/);

  await page.goto(`/devices/traveller?at=${between}&speed=0`);
  await page.getByTestId("past-speed").selectOption("10");
  await expect(page.getByText("77", { exact: true }).first()).toBeVisible();
  await expect(page.getByTestId("past")).toHaveAttribute("data-caught-up", "true", { timeout: 15_000 });
  await page.getByTestId("past-back").click();
  await expect(page.getByTestId("past")).toHaveCount(0);
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "live");
  await expect(page).not.toHaveURL(/at=/);
});

test("a moment is picked by keyboard", async ({ page }) => {
  await page.goto("/");
  await page.getByTestId("travel").focus();
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("travel-dialog")).toBeVisible();
  await page.screenshot({ path: `${results}/travel.png` });
  await page.getByTestId("travel-speed").selectOption("5");
  await page.getByTestId("travel-go").focus();
  await page
    .getByTestId("travel-moment")
    .fill(
      new Date(Date.now() - 5_000 - new Date().getTimezoneOffset() * 60_000)
        .toISOString()
        .slice(0, 19)
        .replace(/:00$/, ""),
    );
  await page.getByTestId("travel-go").press("Enter");
  await expect(page.getByTestId("past")).toBeVisible();
  await expect(page).toHaveURL(/at=\d+&speed=5/);
});

/** local is a moment as the dialog's fields have it. */
const local = (time: number) =>
  new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace(/:00$/, "");

test("a range stands still at its end, and nothing later is told there", async ({ page }) => {
  publish("devices/ranger/telemetry", '{"level":21}');
  await page.waitForTimeout(1_000);
  const from = Math.floor(Date.now() / 1000) * 1000;
  await page.waitForTimeout(3_000);
  publish("devices/ranger/telemetry", '{"level":88}');
  await page.goto("/devices/ranger");
  await expect(page.getByText("88", { exact: true }).first()).toBeVisible();
  await page.getByTestId("travel").click();
  await page.getByTestId("travel-moment").fill(local(from));
  await page.getByTestId("travel-to").fill(local(from + 2_000));
  await page.getByTestId("travel-speed").selectOption("2");
  await page.getByTestId("travel-go").click();

  const past = page.getByTestId("past");
  await expect(past).toHaveAttribute("data-ended", "true");
  await expect(page.getByTestId("past-note")).toHaveText("The range ends here.");
  expect(new URL(page.url()).searchParams.get("replay")).toBe(`${from}-${from + 2_000}`);
  await expect(page.getByText("21", { exact: true }).first()).toBeVisible();
  await expect(page.getByText("88", { exact: true })).toHaveCount(0);
  await page.screenshot({ path: `${results}/past-range.png` });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: `${results}/past-range-phone.png` });
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations).toEqual([]);
  await page.setViewportSize({ width: 1440, height: 900 });

  // What the page asks for besides the stream is of that time, and nothing is changed from there.
  await expect(page.getByTestId("delete-device")).toBeDisabled();
  await page.getByTestId("tab-understood").click();
  await expect(page.getByTestId("past-understood")).toBeVisible();
  await expect(page.getByTestId("explained")).toContainText("21");
  await expect(page.getByTestId("explained")).not.toContainText("88");
  await page.getByTestId("tab-commands").click();
  await expect(page.getByTestId("command-send")).toBeDisabled();
  await page.getByTestId("tab-live").click();

  await page.getByTestId("past-again").click();
  await expect(past).toHaveAttribute("data-ended", "false");
  await expect(past).toHaveAttribute("data-ended", "true");
  await page.getByTestId("past-beyond").click();
  await expect(page.getByText("88", { exact: true }).first()).toBeVisible();
  await expect(page).not.toHaveURL(/replay=/);
  await page.getByTestId("past-back").click();
  await expect(past).toHaveCount(0);
  await expect(page).not.toHaveURL(/at=|replay=|speed=/);
});
