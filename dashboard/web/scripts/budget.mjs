// Fails when what a browser has to load outgrows its budget.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const dist = process.argv[2] ?? new URL("../../dist", import.meta.url).pathname;
/** kB of JavaScript and CSS, compressed: of the first route, and of everything. */
const limits = { first: 80, all: 120 };

const size = (path) => gzipSync(readFileSync(path), { level: 9 }).length / 1000;
const html = readFileSync(join(dist, "index.html"), "utf8");
const first = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.(?:js|css))"/g)].map((match) => match[1]);
const all = readdirSync(join(dist, "assets")).filter((name) => /\.(js|css)$/.test(name));
const sum = (paths) => paths.reduce((total, path) => total + size(join(dist, path)), 0);
const measured = { first: sum(first), all: sum(all.map((name) => `assets/${name}`)) };

for (const [name, limit] of Object.entries(limits)) {
  console.log(`JS + CSS, gzip, ${name}: ${measured[name].toFixed(1)} kB of ${limit} kB`);
  if (!(measured[name] <= limit) || measured[name] === 0) process.exitCode = 1;
}
