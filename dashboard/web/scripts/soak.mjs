// Watches a demo and two browser tabs, the overview and the list of devices, for a while and reports their memory:
//
//	node dashboard/web/scripts/soak.mjs [MINUTES] [DEVICES]
//
// It needs bin/pulso (make build). Memory, and what is in the page, counts as flat when its median over the last quarter is at most 5 % above that of the two
// minutes after the fifth, or after a sixth of the time where that is sooner. The hub's is told only: it keeps the newest two hours of history
// in memory, and grows until they are over.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { chromium } from "@playwright/test";

const minutes = Number(process.argv[2] ?? 30);
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
/** open opens a tab, in a window of its own so that it is not thought to be hidden. */
async function open(path, testid) {
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  const tab = await page.context().newCDPSession(page);
  await tab.send("Performance.enable");
  await page.goto(url + path);
  await page.getByTestId(testid).first().waitFor();
  return { page, tab };
}
const tabs = { overview: await open("/", "event-row"), devices: await open("/devices", "device-row") };

const rss = () => Number(readFileSync(`/proc/${demo.pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]) / 1024;
const cpu = () => {
  const fields = readFileSync(`/proc/${demo.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
// With the collector's default target the next collection is due at twice what was alive after the last one.
const live = async () =>
  Number((await (await fetch(`${url}/metrics`)).text()).match(/^go_memstats_next_gc_bytes (\S+)/m)[1]) / 2 ** 21;

const samples = [];
const began = Date.now();
const page = tabs.devices.page;
const names = Object.keys(tabs).map((name) => `${name}: heap MB, nodes, listeners, task s`);
console.log(["minute", "hub MB", "hub live MB", "hub cpu s", ...names, "online"].join("  "));
while (Date.now() - began < minutes * 60_000) {
  await page.waitForTimeout(10_000);
  const sample = { minute: (Date.now() - began) / 60_000, hub: rss(), live: await live() };
  const row = [sample.minute, sample.hub, sample.live, cpu()];
  for (const [name, { tab }] of Object.entries(tabs)) {
    await tab.send("HeapProfiler.collectGarbage");
    const metrics = Object.fromEntries(
      (await tab.send("Performance.getMetrics")).metrics.map((m) => [m.name, m.value]),
    );
    sample[name] = (await tab.send("Runtime.getHeapUsage")).usedSize / 2 ** 20;
    sample[`${name}, nodes`] = metrics.Nodes;
    sample[`${name}, listeners`] = metrics.JSEventListeners;
    row.push(sample[name], metrics.Nodes, metrics.JSEventListeners, metrics.TaskDuration);
  }
  samples.push(sample);
  const online = await page.getByTestId("chip-online").textContent();
  console.log(row.map((n) => n.toFixed(1).padStart(8)).join("  "), " ", online?.trim());
}
for (const [name, { page }] of Object.entries(tabs)) await page.screenshot({ path: `${root}bin/soak-${name}.png` });
await browser.close();
demo.removeAllListeners("exit");
const ended = new Promise((resolve) => demo.on("exit", resolve));
demo.kill("SIGINT");
console.log("the demo ended with", await ended);

const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
let flat = true;
const settled = Math.min(5, minutes / 6);
for (const key of Object.keys(samples[0]).slice(1)) {
  const early = median(samples.filter((s) => s.minute >= settled && s.minute < settled + 2).map((s) => s[key]));
  const late = median(samples.filter((s) => s.minute >= minutes * 0.75).map((s) => s[key]));
  if (key !== "hub" && key !== "live") flat &&= late <= 1.05 * early;
  console.log(`${key}: ${early.toFixed(1)} from minute ${settled.toFixed(1)} on, ${late.toFixed(1)} at the end`);
}
console.log(flat ? "flat" : "NOT flat");
process.exit(flat ? 0 : 1);
