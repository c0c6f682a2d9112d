// Watches a demo and one browser tab for a while and reports their memory:
//
//	node dashboard/web/scripts/soak.mjs [MINUTES] [DEVICES]
//
// It needs bin/pulso (make build). Memory counts as flat when its median over the last quarter is at most 5 % (and 2 MB) above
// that of the two minutes after the second.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { chromium } from "@playwright/test";

const minutes = Number(process.argv[2] ?? 10);
const devices = process.argv[3] ?? "1000";
const root = new URL("../../../", import.meta.url).pathname;

const demo = spawn(`${root}bin/pulso`, [
  "demo",
  "--devices",
  devices,
  "--mqtt",
  "127.0.0.1:0",
  "--http",
  "127.0.0.1:0",
]);
demo.stderr.pipe(process.stderr);
const url = await new Promise((resolve, reject) => {
  let said = "";
  demo.on("exit", (code) => reject(new Error(`the demo ended with ${code}`)));
  demo.stdout.on("data", (text) => {
    said += text;
    const found = said.match(/http:\/\/\S+/);
    if (found) resolve(found[0]);
  });
});

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
const tab = await page.context().newCDPSession(page);
await tab.send("Performance.enable");
await page.goto(`${url}/devices`);
await page.getByTestId("device-row").first().waitFor();

const rss = () => Number(readFileSync(`/proc/${demo.pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]) / 1024;
const cpu = () => {
  const fields = readFileSync(`/proc/${demo.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
const metric = async (name) => (await tab.send("Performance.getMetrics")).metrics.find((m) => m.name === name).value;

// With the collector's default target the next collection is due at twice what was alive after the last one.
const live = async () =>
  Number((await (await fetch(`${url}/metrics`)).text()).match(/^go_memstats_next_gc_bytes (\S+)/m)[1]) / 2 ** 21;

const samples = [];
const began = Date.now();
console.log("minute  hub MB  hub live MB  hub cpu s  tab heap MB  tab nodes  tab task s  rows online");
while (Date.now() - began < minutes * 60_000) {
  await page.waitForTimeout(10_000);
  await tab.send("HeapProfiler.collectGarbage");
  const heap = (await tab.send("Runtime.getHeapUsage")).usedSize / 2 ** 20;
  const sample = { minute: (Date.now() - began) / 60_000, hub: rss(), live: await live(), heap };
  samples.push(sample);
  const row = [
    sample.minute,
    sample.hub,
    sample.live,
    cpu(),
    heap,
    await metric("Nodes"),
    await metric("TaskDuration"),
  ];
  const online = await page.getByTestId("chip-online").textContent();
  console.log(row.map((n) => n.toFixed(1).padStart(8)).join("  "), " ", online?.trim());
}
await page.screenshot({ path: `${root}bin/soak.png` });
await browser.close();
demo.removeAllListeners("exit");
const ended = new Promise((resolve) => demo.on("exit", resolve));
demo.kill("SIGINT");
console.log("the demo ended with", await ended);

const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
let flat = true;
for (const key of ["hub", "live", "heap"]) {
  const early = median(samples.filter((s) => s.minute >= 2 && s.minute < 4).map((s) => s[key]));
  const late = median(samples.filter((s) => s.minute >= minutes * 0.75).map((s) => s[key]));
  flat &&= late <= early * 1.05 + 2;
  console.log(`${key}: ${early.toFixed(1)} MB in minutes 2 to 4, ${late.toFixed(1)} MB at the end`);
}
console.log(flat ? "flat" : "NOT flat");
process.exit(flat ? 0 : 1);
