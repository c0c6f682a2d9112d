import { execFileSync } from "node:child_process";
import { expect, type Page, test } from "@playwright/test";
import mqtt from "mqtt";

// A hub that nobody has published to yet: the tests build on each other.
test.describe.configure({ mode: "serial" });

const mqttAddress = process.env.PULSO_MQTT ?? "";
const [host, port] = mqttAddress.split(":") as [string, string];
const results = process.env.PULSO_RESULTS ?? "test-results";

function mosquittoPub(topic: string, message: string, ...flags: string[]): void {
  execFileSync("mosquitto_pub", ["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", message, ...flags]);
}

// What a page says on its console is an error of ours.
function watchConsole(page: Page): string[] {
  const said: string[] = [];
  page.on("pageerror", (e) => said.push(e.message));
  page.on("console", (m) => {
    if (m.type() === "error") said.push(m.text());
  });
  return said;
}

test("the first run waits for a device and shows it when it comes", async ({ page }) => {
  const said = watchConsole(page);
  await page.goto("/");
  await expect(page.getByTestId("first-run")).toBeVisible();
  await expect(page.getByTestId("first-run")).toContainText(port);

  mosquittoPub("home/kitchen/temp", "21.5");
  await expect(page.getByTestId("arrived-device")).toContainText("kitchen");
  expect(said).toEqual([]);
});

test("what mosquitto_pub and mqtt.js publish is on the page, live", async ({ page }) => {
  const said = watchConsole(page);
  await page.goto("/devices");
  await expect(page.getByTestId("connection-pill")).toHaveAttribute("data-state", "live");
  const kitchen = page.locator('[data-testid=device-row][data-device="kitchen"]');
  await expect(kitchen).toBeVisible();
  mosquittoPub("home/kitchen/temp", "22.25");
  await expect(kitchen.getByTestId("device-value")).toContainText("22.25");

  const client = await mqtt.connectAsync(`ws://${new URL(process.env.PULSO_URL ?? "").host}/mqtt`, {
    clientId: "browser-7",
  });
  await client.publishAsync("devices/garden/telemetry", '{"soil":41.5,"soil_unit":"%"}', { qos: 1 });
  const garden = page.locator('[data-testid=device-row][data-device="garden"]');
  await expect(garden).toHaveAttribute("data-status", "online");
  await expect(garden.getByTestId("device-value")).toContainText("41.5");

  await page.goto("/devices/kitchen");
  const chart = page.getByTestId("chart").first();
  await expect(chart).toHaveAttribute("data-points", "2");
  mosquittoPub("home/kitchen/temp", "23.75");
  await expect(chart).toHaveAttribute("data-points", "3");
  await page.screenshot({ path: `${results}/device.png` });

  // A device that breaks its connection is offline; hostile text stays text.
  mosquittoPub("devices/garden/note", "<img src=x onerror=alert(1)>");
  await page.goto("/topics");
  await expect(page.getByTestId("topic-row").first()).toBeVisible();
  await client.endAsync();
  await page.goto("/devices");
  await expect(kitchen.getByTestId("device-value")).toContainText("23.75");
  await page.screenshot({ path: `${results}/devices.png` });
  expect(said).toEqual([]);
});

test("a person and a device talk in a chat channel", async ({ page }) => {
  await page.goto("/?chat=open");
  mosquittoPub("chat/general", '{"v":1,"from":"boiler-1","text":"pressure is low"}');
  await expect(page.getByTestId("chat-message").last()).toContainText("pressure is low");

  const device = await mqtt.connectAsync(`mqtt://${mqttAddress}`, { clientId: "boiler-1" });
  await device.subscribeAsync("chat/general", { qos: 1 });
  await expect(page.getByTestId("present")).toContainText("2");
  await page.getByTestId("present").click();
  await expect(page.getByTestId("chat")).toContainText("boiler-1");
  const heard = new Promise<string>((resolve) =>
    device.on("message", (_topic, payload) => resolve(payload.toString())),
  );
  const name = page.getByTestId("chat-name");
  if (await name.isVisible()) {
    await name.fill("Ana");
    await name.press("Enter");
  }
  await page.getByTestId("chat-input").fill("on my way");
  await page.getByTestId("chat-input").press("Enter");
  await expect(page.getByTestId("chat-message").last()).toContainText("on my way");
  expect(JSON.parse(await heard)).toMatchObject({ v: 1, from: "Ana", text: "on my way" });
  await device.endAsync();
  await page.screenshot({ path: `${results}/chat.png` });
});
