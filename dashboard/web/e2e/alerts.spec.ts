import { createConnection } from "node:net";
import { expect, type Page, test } from "@playwright/test";
import mqtt, { type MqttClient } from "mqtt";
import { fits, open, results, watch } from "./page";

// What needs attention, and what went wrong: against a hub of its own (PULSO_URL, PULSO_MQTT).
test.describe.configure({ mode: "serial" });

const address = process.env.PULSO_MQTT ?? "";
const connect = () =>
  mqtt.connectAsync(`mqtt://${address}`, { clientId: "pump-7", protocolVersion: 5, reconnectPeriod: 0 });
const beat = (device: MqttClient) =>
  device.publishAsync("devices/pump-7/telemetry", '{"temperature":21.5}', { qos: 1 });

let problems: string[];
test.beforeEach(({ page }) => {
  problems = watch(page);
});
test.afterEach(() => expect(problems).toEqual([]));

const alert = (page: Page, kind: string) => page.getByTestId("alerts").getByTestId(kind);
const count = (page: Page) => page.getByTestId("alerts-link");

test("a device falls silent and returns", async ({ page }) => {
  let device = await connect();
  await beat(device);
  await open(page, "/alerts");
  await expect(page.getByTestId("all-well")).toBeVisible();
  await expect(count(page)).toHaveCount(0);
  await page.screenshot({ path: `${results}/well.png` });

  // Without a word: an end that is announced, soon after the beginning, is a visit.
  await device.endAsync(true);
  await expect(alert(page, "silent")).toContainText("offline");
  await expect(alert(page, "silent")).toContainText("pump-7");
  await expect(count(page)).toHaveText("1");
  await expect(page.locator("nav [aria-current=page]")).toContainText("1");

  device = await connect();
  await beat(device);
  await expect(page.getByTestId("all-well")).toBeVisible();
  await expect(count(page)).toHaveCount(0);
  await device.endAsync(true);
  await alert(page, "silent").click();
  await expect(page).toHaveURL(/\/devices\/pump-7$/);
});

test("a payload that cannot be decoded, with its reason", async ({ page }) => {
  const device = await connect();
  await beat(device);
  await device.publishAsync("devices/pump-7/telemetry", '{"temperature":', { qos: 1 });
  await open(page, "/errors");
  const list = page.getByTestId("undecodable-list");
  await expect(list).toContainText("devices/pump-7/telemetry");
  await expect(list.getByRole("listitem")).toContainText(/JSON|unexpected/);
  await page.screenshot({ path: `${results}/errors.png` });
  await list.getByRole("link").click();
  await expect(page).toHaveURL(/pump-7\?tab=understood/);
  await device.endAsync(true);
});

test("a connection that is refused", async ({ page }) => {
  const [host, port] = address.split(":");
  const socket = createConnection(Number(port), host, () => socket.write("GET / HTTP/1.1\r\n\r\n"));
  await new Promise((done) => socket.on("error", done).on("close", done));
  await open(page, "/errors");
  await expect(page.getByTestId("refused-list").getByRole("listitem")).toContainText("not mqtt");

  await page.goto("/alerts");
  await expect(alert(page, "refused")).toContainText("not mqtt");
  await expect(page.getByTestId("alerts").getByRole("link")).toHaveCount(3);
  await expect(count(page)).toHaveText("3");
  await page.getByRole("button", { name: /Connections refused/ }).click();
  await expect(page).toHaveURL(/kind=refused/);
  await expect(page.getByTestId("alerts").getByRole("link")).toHaveCount(1);
  await expect(count(page)).toHaveText("3");
});

test("all of it fits, in both languages, themes and sizes", async ({ page }) => {
  for (const language of ["en", "es"])
    for (const width of [1440, 390])
      for (const theme of ["dark", "light"] as const) {
        await page.setViewportSize({ width, height: 900 });
        await page.addInitScript(
          ([language, theme]) => {
            localStorage.setItem("pulso.language", language);
            localStorage.setItem("pulso.theme", theme);
          },
          [language, theme],
        );
        for (const screen of ["", "alerts", "errors"]) {
          await open(page, `/${screen}`);
          await expect(page.locator("h1")).toBeAttached();
          expect(await fits(page)).toBe("");
          await page.screenshot({ path: `${results}/${screen || "overview"}-${language}-${theme}-${width}.png` });
        }
      }
});
