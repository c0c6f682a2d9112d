/** screens are those of the rail. */
export const screens = ["overview", "devices", "topics", "boards", "alerts", "errors", "connect", "settings"] as const;

export type Screen = (typeof screens)[number];
