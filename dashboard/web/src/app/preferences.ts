const recentLimit = 8;
const queryLimit = 20;

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

  /** language is "en", "es", or "" for the browser's. */
  get language(): string {
    return this.#get("language");
  }

  set language(language: string) {
    this.#set("language", language);
  }

  get narrowRail(): boolean {
    return this.#get("rail") === "narrow";
  }

  set narrowRail(narrow: boolean) {
    this.#set("rail", narrow ? "narrow" : "");
  }

  /** singleKeys reports that keys without Ctrl or ⌘ do something; they can be switched off (WCAG 2.1.4). */
  get singleKeys(): boolean {
    return this.#get("keys") !== "off";
  }

  set singleKeys(on: boolean) {
    this.#set("keys", on ? "" : "off");
  }

  /** chatWidth is how wide the chat is, px. */
  get chatWidth(): number {
    return Number(this.#get("chat-width")) || 360;
  }

  set chatWidth(width: number) {
    this.#set("chat-width", String(width));
  }

  /** recent are the keys of what was chosen in the palette, newest first. */
  get recent(): string[] {
    return this.#get("recent").split("\n").filter(Boolean);
  }

  /** used puts what was chosen before the others, of which the oldest is forgotten. */
  used(key: string): void {
    const others = this.recent.filter((one) => one !== key);
    this.#set("recent", [key, ...others].slice(0, recentLimit).join("\n"));
  }

  /** queries are the expressions that were asked last, newest first. */
  get queries(): string[] {
    try {
      return (JSON.parse(this.#get("queries")) as unknown[]).map(String);
    } catch {
      return [];
    }
  }

  /** asked puts an expression before the others, of which the oldest is forgotten. */
  asked(expression: string): void {
    const others = this.queries.filter((one) => one !== expression);
    this.#set("queries", JSON.stringify([expression, ...others].slice(0, queryLimit)));
  }

  /** lasting reports that this browser keeps what is chosen. */
  get lasting(): boolean {
    try {
      localStorage.setItem("pulso.kept", "yes");
      return localStorage.getItem("pulso.kept") === "yes";
    } catch {
      return false;
    }
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
