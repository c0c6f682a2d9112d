import { parseRoute, pathOf, type Route, withParams } from "../core/router";
import { journey, paramsOf } from "./past";

/** Place is where the person is: all of it stands in the URL, so that a link shows another person the same. */
class Place {
  #pathname = $state(location.pathname);
  #search = $state(location.search);
  readonly route: Route = $derived(parseRoute(this.#pathname));
  readonly #params = $derived(new URLSearchParams(this.#search));

  /** kept are parameters that stay wherever the person goes. */
  kept: Record<string, string> = journey === undefined ? {} : paramsOf(journey);

  constructor() {
    window.addEventListener("popstate", () => this.#read());
  }

  param(name: string): string {
    return this.#params.get(name) ?? "";
  }

  /** set changes parameters in place, without a step in the browser's history. */
  set(changes: Record<string, string>): void {
    history.replaceState(history.state, "", this.#pathname + withParams(this.#search, changes));
    this.#read();
  }

  /** keep changes parameters here and on every screen from now on. */
  keep(changes: Record<string, string>): void {
    this.kept = { ...this.kept, ...changes };
    this.set(changes);
  }

  get chatOpen(): boolean {
    return this.param("chat") === "open";
  }

  /** chatAsked: the chat was opened by the person here, who is going to write. */
  chatAsked = false;

  toggleChat(): void {
    this.chatAsked = !this.chatOpen;
    this.set({ chat: this.chatOpen ? "" : "open", channel: "" });
  }

  /** href is the URL of a screen; the chat beside it stays as it is. */
  href(route: Route, params: Record<string, string> = {}): string {
    const chat = this.param("chat");
    return pathOf(route) + withParams("", { ...params, chat, channel: chat === "" ? "" : this.param("channel") });
  }

  go(route: Route, params: Record<string, string> = {}): void {
    history.pushState(null, "", this.href(route, params));
    this.#read();
    document.querySelector("main")?.scrollTo(0, 0);
  }

  /** follow makes a plain click on a link of ours a step within the page. */
  follow = (event: MouseEvent): void => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    ) {
      return;
    }
    const link = (event.target as Element).closest("a");
    if (
      link === null ||
      link.target !== "" ||
      link.origin !== location.origin ||
      link.hash !== "" ||
      link.hasAttribute("download")
    )
      return;
    event.preventDefault();
    history.pushState(null, "", link.pathname + link.search);
    this.#read();
    document.querySelector("main")?.scrollTo(0, 0);
  };

  #read(): void {
    this.#pathname = location.pathname;
    const search = withParams(location.search, this.kept);
    if (Object.keys(this.kept).length > 0 && search !== location.search) {
      history.replaceState(history.state, "", this.#pathname + search);
    }
    this.#search = location.search;
  }
}

export const place = new Place();
