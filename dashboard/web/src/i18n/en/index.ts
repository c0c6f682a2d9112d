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

/** What the dashboard says. Another language is another object of this shape. */
export const words = {
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
