import type { words } from "./en";

export type Words = typeof words;

/** languages are those that the dashboard speaks, with the names that they have in themselves. */
export const languages = { en: "English", es: "Español" } as const;
export type Language = keyof typeof languages;

const dictionaries: Record<Language, () => Promise<{ words: Words }>> = {
  en: () => import("./en"),
  es: () => import("./es"),
};

/** t is the words of the chosen language. They are there before the first component is, and change only between two mounts. */
export let t: Words;

/** speak loads the words of a language; what was mounted has to be mounted again. */
export async function speak(language: Language): Promise<void> {
  t = (await dictionaries[language]()).words;
}
