// Writes a .br and a .gz beside each text file of dist, so that the hub only has to send them.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompressSync, constants } from "node:zlib";
import { gzip as zopfli } from "@gfx/zopfli";

const dist = process.argv[2] ?? new URL("../../dist", import.meta.url).pathname;
/** Zopfli takes its time, and packs 4 % smaller than zlib can. It writes no time and no operating system: every machine the same. */
const pack = promisify(zopfli);
/** Below this a header costs more than it saves. Bytes. */
const worthwhile = 256;

for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(html|js|css|svg|json|txt)$/.test(entry.name)) continue;
  const path = join(entry.parentPath, entry.name);
  const plain = readFileSync(path);
  const gzip = await pack(plain, { numiterations: 100 });
  const brotli = brotliCompressSync(plain, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    },
  });
  for (const [suffix, packed] of [
    [".gz", gzip],
    [".br", brotli],
  ]) {
    rmSync(path + suffix, { force: true });
    if (plain.length >= worthwhile && packed.length < plain.length) writeFileSync(path + suffix, packed);
  }
}
