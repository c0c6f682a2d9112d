// Generated from the hub's close-code table. Do not edit.

export const closeCodes = {
  shutdown: 4000,
  slow: 4001,
  overloaded: 4002,
  internal: 4003,
  silent: 4004,
  bad_commands: 4500,
  unauthorized: 4501,
  too_large: 4502,
  wrong_form: 4503,
} as const;
