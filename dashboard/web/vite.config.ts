import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const hub = process.env.PULSO_URL ?? "http://127.0.0.1:8080";

/** chunkFileNames names the dictionaries, of which a browser loads one, by their languages. */
function chunkFileNames({ facadeModuleId }: { facadeModuleId?: string | null }): string {
  const language = facadeModuleId?.match(/i18n\/(\w+)\/index\.ts$/)?.[1];
  return language === undefined ? "assets/[name]-[hash].js" : `assets/words.${language}-[hash].js`;
}

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
    // All styles together pack better than those of a screen by themselves.
    cssCodeSplit: false,
    rolldownOptions: { output: { chunkFileNames } },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/ws": { target: hub, ws: true }, "/api": hub, "/sse": hub },
    // Tests read the messages that the hub's encoders are tested with.
    fs: { allow: [".", "../../bridge/wire/testdata"] },
  },
  test: {
    environment: "happy-dom",
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/setup.ts"],
  },
});
