import { readdirSync } from "node:fs";
import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

/** Short names for what a component's own styles apply to: their places in the list of all of them. */
const components = readdirSync(new URL("src", import.meta.url), { recursive: true })
  .filter((name) => name.endsWith(".svelte"))
  .sort();
const cssHash = ({ filename }) => `s${components.findIndex((name) => filename.endsWith(`/${name}`)).toString(36)}`;

export default { preprocess: vitePreprocess(), compilerOptions: { runes: true, cssHash } };
