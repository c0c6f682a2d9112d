import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const hub = process.env.PULSO_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte()],
  // Vitest would otherwise pick the server build of Svelte.
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    // The hub's content policy allows no data: URLs, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/ws": { target: hub, ws: true } },
    // Tests read the messages that the hub's encoders are tested with.
    fs: { allow: [".", "../../bridge/wire/testdata"] },
  },
  test: {
    environment: "happy-dom",
    include: ["test/**/*.test.ts"],
  },
});
