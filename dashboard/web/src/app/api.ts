import { Api } from "../core/api";

/** api asks the hub that this page came from. */
export const api = new Api();
