import { preferences } from "./preferences";

const system = window.matchMedia("(prefers-color-scheme: light)");

/** Theme is dark or light: what the person chose, else what the system says. */
class Theme {
  #chosen = $state(preferences.theme);
  #system = $state(system.matches ? "light" : "dark");
  readonly name: string = $derived(this.#chosen || this.#system);

  constructor() {
    system.addEventListener("change", () => {
      this.#system = system.matches ? "light" : "dark";
      this.#show();
    });
    this.#show();
  }

  toggle(): void {
    this.#chosen = this.name === "dark" ? "light" : "dark";
    preferences.theme = this.#chosen;
    this.#show();
  }

  /** show marks the document at once, so that charts that are redrawn read the new colours. */
  #show(): void {
    document.documentElement.dataset.theme = this.#chosen || this.#system;
  }
}

export const theme = new Theme();
