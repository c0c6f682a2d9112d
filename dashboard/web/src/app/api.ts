import { Api } from "../core/api";
import { changes, until } from "../core/inpast";
import { t } from "../i18n";
import { clock } from "./live";
import { journey } from "./past";

/** ask asks the hub that this page came from: in the past, only for what had come until then, and changes nothing. */
export async function ask(path: string, init?: RequestInit): Promise<Response> {
  if (journey === undefined) return fetch(path, init);
  if (changes(init?.method ?? "GET", path)) throw new Error(t.travel.inert);
  return fetch(until(path, clock.now()), init);
}

export const api = new Api(ask);
