type Parts = typeof import("./later");

/** part is a piece of the program that is loaded when it is first needed. */
export const part = async <Name extends keyof Parts>(name: Name): Promise<Parts[Name]> =>
  (await import("./later"))[name];

/** preload fetches them all, without haste. What fails to come is asked for again when it is needed. */
export function preload(): void {
  part("devices").catch(() => undefined);
}
