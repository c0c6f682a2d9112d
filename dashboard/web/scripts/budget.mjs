// Fails when what a browser has to load outgrows its budget.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const dist = process.argv[2] ?? new URL("../../dist", import.meta.url).pathname;
const assets = join(dist, "assets");
/** kB of JavaScript and CSS, compressed: of the first route, and of everything. In one language, for a browser loads no other. */
const limits = { first: 80, all: 120 };

/** size is what the hub sends, kB: the packed file, or the plain one where packing was not worth it. */
const size = (name) => statSync(join(assets, existsSync(join(assets, `${name}.gz`)) ? `${name}.gz` : name)).size / 1000;
const sum = (names) => names.reduce((total, name) => total + size(name), 0);
const names = readdirSync(assets).filter((name) => /\.(js|css)$/.test(name));

/** words are the dictionaries, as vite.config.ts names them. */
const words = names.filter((name) => name.startsWith("words."));
const longest = Math.max(...words.map((name) => size(name)));

/** needed are the files that the page names, and those that they import before anything is shown. */
const needed = new Set(
  [...readFileSync(join(dist, "index.html"), "utf8").matchAll(/(?:src|href)="\/assets\/([^"]+\.(?:js|css))"/g)].map(
    ([, name]) => name,
  ),
);
for (const name of needed) {
  if (!name.endsWith(".js")) continue;
  for (const [, imported] of readFileSync(join(assets, name), "utf8").matchAll(/(?:from|import)"\.\/([^"]+)"/g))
    needed.add(imported);
}

const measured = {
  first: sum([...needed]) + longest,
  all: sum(names.filter((name) => !words.includes(name))) + longest,
};
for (const [name, limit] of Object.entries(limits)) {
  console.log(`JS + CSS, gzip, ${name}: ${measured[name].toFixed(2)} kB of ${limit} kB`);
  if (!(measured[name] <= limit)) process.exitCode = 1;
}
