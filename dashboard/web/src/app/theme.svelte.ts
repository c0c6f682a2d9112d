import { preferences } from "./preferences";

const system = window.matchMedia("(prefers-color-scheme: light)");

/** Theme is dark or light: what the person chose, else what the system says. */
class Theme {
  #chosen = $state(preferences.theme);
  #system = $state(system.matches ? "light" : "dark");
  readonly #colors = new Map<string, string>();
  readonly name: string = $derived(this.#chosen || this.#system);

  constructor() {
    system.addEventListener("change", () => {
      this.#system = system.matches ? "light" : "dark";
      this.#show();
    });
    this.#show();
  }

  /** chosen is "dark", "light", or "" to follow the system. */
  get chosen(): string {
    return this.#chosen;
  }

  choose(name: string): void {
    this.#chosen = name;
    preferences.theme = name;
    this.#show();
  }

  toggle(): void {
    this.choose(this.name === "dark" ? "light" : "dark");
  }

  /** color is the value of a custom property in the present theme, for canvases. */
  color(property: string): string {
    let value = this.#colors.get(property);
    if (value === undefined) {
      value = getComputedStyle(document.documentElement).getPropertyValue(property).trim();
      this.#colors.set(property, value);
    }
    return value;
  }

  /** show marks the document at once, so that charts that are redrawn read the new colours. */
  #show(): void {
    this.#colors.clear();
    document.documentElement.dataset.theme = this.#chosen || this.#system;
  }
}

export const theme = new Theme();
