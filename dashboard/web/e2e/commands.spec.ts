import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import mqtt, { type MqttClient } from "mqtt";

// Commands to devices that obey, answer late, or are not there: against a hub of its own (PULSO_URL, PULSO_MQTT).
const hostile = '<img src=x onerror="window.pwned=1">';
let device: MqttClient;

test.beforeAll(async () => {
  device = await mqtt.connectAsync(`mqtt://${process.env.PULSO_MQTT}`, { protocolVersion: 5, clientId: "lamp" });
  device.on("message", (topic, payload, packet) => {
    const { responseTopic, correlationData } = packet.properties ?? {};
    if (topic === "devices/lamp/set") device.publish("devices/lamp/state", payload, { qos: 1 });
    else if (topic === "devices/lamp/ask" && responseTopic !== undefined)
      device.publish(responseTopic, hostile, { qos: 1, properties: { correlationData } });
  });
  await device.subscribeAsync(["devices/lamp/set", "devices/lamp/ask", "devices/lamp/deaf"], { qos: 1 });
  await device.publishAsync("devices/lamp/state", '{"state":"off","level":3}', { qos: 1 });
});

test.afterAll(() => device.endAsync());

async function open(page: Page) {
  await page.goto("/devices/lamp");
  await page.getByTestId("send-command").click();
  await expect(page).toHaveURL(/tab=commands/);
  await expect(page.getByTestId("command-send")).toBeEnabled();
}

const newest = (page: Page) => page.getByTestId("command").first();

test("a template is shown as it is published, sent by keyboard, and acknowledged by the device's state", async ({
  page,
}) => {
  await open(page);
  await page.getByRole("button", { name: "level", exact: true }).click();
  await expect(page.locator("#command-topic")).toBeFocused();
  await expect(page.getByTestId("command-preview")).toContainText("devices/lamp/set");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type('{"level":7}');
  await expect(page.getByTestId("command-preview")).toContainText('{"level":7}');
  await page.keyboard.press("Control+Enter");
  await expect(newest(page)).toHaveAttribute("data-state", "acknowledged");
  await expect(newest(page).getByTestId("command-took")).toContainText("ms");
  await expect(newest(page).getByTestId("command-response")).toContainText('{"level":7}');
  await expect(newest(page)).toContainText("to lamp");
  await expect(page.getByTestId("command-said")).toContainText("Acknowledged");
  // It is remembered, here and after the page was loaded again.
  await page.reload();
  await expect(page.getByTestId("command-last").getByRole("button", { name: '{"level":7}' })).toBeVisible();
  await expect(newest(page)).toHaveAttribute("data-state", "acknowledged");
});

test("an answer by MQTT 5 is text, whatever it says", async ({ page }) => {
  await open(page);
  await page.locator("#command-topic").fill("devices/lamp/ask");
  await page.getByTestId("command-send").click();
  await expect(newest(page)).toHaveAttribute("data-state", "acknowledged");
  await expect(newest(page).getByTestId("command-response")).toContainText(hostile);
  expect(await page.evaluate(() => "pwned" in window)).toBe(false);
});

test("nobody listens, and a device that does not answer", async ({ page }) => {
  await open(page);
  await page.locator("#command-topic").fill("devices/lamp/+");
  await expect(page.getByTestId("command-send")).toBeDisabled();
  await page.locator("#command-topic").fill("devices/nobody/set");
  await page.getByTestId("command-send").click();
  await expect(newest(page)).toHaveAttribute("data-state", "failed");
  await expect(newest(page)).toContainText("No device listens on this topic.");
  await page.locator("summary").click();
  await page.getByLabel("Wait, seconds").fill("2");
  await page.locator("#command-topic").fill("devices/lamp/deaf");
  await page.getByTestId("command-send").click();
  await expect(newest(page)).toHaveAttribute("data-state", "delivered");
  await expect(newest(page)).toHaveAttribute("data-state", "timed_out");
  await expect(newest(page)).toContainText("It was delivered, but no answer came.");
});

test("a retained command is asked about", async ({ page }) => {
  await open(page);
  await expect(newest(page)).toBeVisible();
  const before = await page.getByTestId("command").count();
  await page.locator("summary").click();
  await page.getByRole("checkbox", { name: "Retain" }).check();
  await page.getByTestId("command-send").click();
  await page.getByTestId("command-retain").getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByTestId("command")).toHaveCount(before);
  await page.getByTestId("command-send").click();
  await page.getByTestId("command-retain").getByRole("button", { name: "Send retained" }).click();
  await expect(page.getByTestId("command")).toHaveCount(before + 1);
});

for (const [colorScheme, width, language] of [
  ["dark", 1440, "en"],
  ["light", 390, "es"],
] as const) {
  test(`commands are accessible: ${colorScheme}, ${width} px, ${language}`, async ({ browser }) => {
    const context = await browser.newContext({
      colorScheme,
      locale: language,
      viewport: { width, height: 844 },
      reducedMotion: "reduce",
    });
    const page = await context.newPage();
    await page.goto("/devices/lamp?tab=commands");
    await expect(page.getByTestId("command").first()).toBeVisible();
    await page.locator("summary").click();
    const { violations } = await new AxeBuilder({ page }).include("[data-testid=commands]").analyze();
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)).toEqual([]);
    const wide = await page.getByTestId("commands").evaluate((e) => e.scrollWidth - e.clientWidth);
    expect(wide).toBeLessThanOrEqual(0);
    await context.close();
  });
}
