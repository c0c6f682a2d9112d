/** Preferences stay in this browser. Where storage is forbidden they last as long as the page. */
class Preferences {
  readonly #memory = new Map<string, string>();

  get name(): string {
    return this.#get("name");
  }

  set name(name: string) {
    this.#set("name", name);
  }

  /** theme is "dark", "light", or "" to follow the system. */
  get theme(): string {
    return this.#get("theme");
  }

  set theme(theme: string) {
    this.#set("theme", theme);
  }

  get narrowRail(): boolean {
    return this.#get("rail") === "narrow";
  }

  set narrowRail(narrow: boolean) {
    this.#set("rail", narrow ? "narrow" : "");
  }

  #get(key: string): string {
    try {
      return localStorage.getItem(`pulso.${key}`) ?? "";
    } catch {
      return this.#memory.get(key) ?? "";
    }
  }

  #set(key: string, value: string): void {
    this.#memory.set(key, value);
    try {
      localStorage.setItem(`pulso.${key}`, value);
    } catch {
      // Kept in memory above.
    }
  }
}

export const preferences = new Preferences();
