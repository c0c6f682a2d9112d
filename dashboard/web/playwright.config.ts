import { defineConfig } from "@playwright/test";

// The hub under test is started by test/e2e, which says where it is: PULSO_URL, PULSO_MQTT.
const url = process.env.PULSO_URL;
if (!url) throw new Error("PULSO_URL is not set: these tests need a running hub");

export default defineConfig({
  testDir: "e2e",
  outputDir: process.env.PULSO_RESULTS ?? "test-results",
  workers: 1,
  timeout: 60_000,
  reporter: "list",
  use: {
    baseURL: url,
    viewport: { width: 1440, height: 900 },
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
