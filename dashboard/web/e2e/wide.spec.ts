import { writeFileSync } from "node:fs";
import { expect, test } from "@playwright/test";
import { cost } from "./cost";
import { open } from "./page";
import { online, Program } from "./program";

// Two hundred thousand changes a second: ten thousand devices that say twenty numbers each, once a second, against a hub of its
// own (PULSO_URL, PULSO_MQTT).
const devices = 10_000;
const metrics = 20;

test("the main thread at 200,000 changes a second", async ({ browser }, info) => {
  test.setTimeout(150_000);
  const names = Array.from({ length: metrics }, (_, i) => `m${i}`);
  const row = (n: number) => [`d${n % devices}`, ...names.map((_, i) => (20 + i + (n % 97) / 10).toFixed(1))].join();
  const file = info.outputPath("wide.csv");
  writeFileSync(
    file,
    [["device", ...names].join(), ...Array.from({ length: 3 * devices }, (_, n) => row(n))].join("\n"),
  );
  const load = new Program(
    ...["sim", "replay", file, "--broker", `tcp://${process.env.PULSO_MQTT}`, "--loop", "--no-announce"],
    ...["--qos", "0", "--speed", "1", "--interval", `${1e9 / devices}ns`],
  );
  try {
    await online(devices, load, 90_000);
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await open(page, "/");
    for (const path of ["/", "/devices"]) {
      const { thread, changes } = await cost(page, path);
      // A machine that others use may not come up to it; how much it was is told.
      expect(changes, path).toBeGreaterThan(20_000);
      expect(thread, path).toBeLessThanOrEqual(0.2);
    }
  } finally {
    await load.end("SIGKILL");
  }
});
