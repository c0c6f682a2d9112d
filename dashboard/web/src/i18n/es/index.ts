import type { Words } from "..";
import { alerts } from "./alerts";
import { base } from "./base";
import { boards } from "./boards";
import { charts } from "./charts";
import { commands } from "./commands";
import { connection } from "./connection";
import { errors } from "./errors";
import { query } from "./query";
import { screens } from "./screens";
import { settings } from "./settings";
import { travel } from "./travel";
import { understood } from "./understood";

/** Lo que dice el panel. */
export const words: Words = {
  ...base,
  ...screens,
  ...understood,
  alerts,
  boards,
  charts,
  commands,
  connection,
  errors,
  query,
  settings,
  travel,
};
