import type { Reader } from "./protobuf";

/** Kind is a method of Reader that reads a field; with a question mark its number is NaN where it is not told. */
type Kind = "string" | "uint32" | "uint64" | "int64" | "name64" | "double" | "bool";

/** Schema is a message's plain fields, and the message that tells none of them. */
export interface Schema<T> {
  name: string;
  fields: readonly (readonly [key: string, kind: Kind] | undefined)[];
  blank: T;
}

/**
 * schemaOf makes the schema of a message. fields are its fields from 1 on as "key:kind"; a "-" is in the place of one that is no plain
 * one. What is in blank besides them stays as it is.
 */
export function schemaOf<T extends object>(name: string, fields: string, more: Partial<T> = {}): Schema<T> {
  const blank: Record<string, unknown> = { ...more };
  const list = fields.split(" ").map((text) => {
    const [key, kind] = text.split(":");
    if (kind === undefined) return undefined;
    blank[key] = kind === "string" ? "" : kind === "bool" ? false : kind === "double?" ? Number.NaN : 0;
    return [key, kind.replace("?", "") as Kind] as const;
  });
  return { name, fields: list, blank: blank as T };
}

/** read reads the message that the reader's field is; other reads or skips a field that the schema does not have. */
export function read<T extends object>(
  r: Reader,
  { name, fields, blank }: Schema<T>,
  into: T = { ...blank },
  other?: (into: T) => void,
): T {
  r.open(name);
  while (r.next()) {
    const field = fields[r.field - 1];
    if (field !== undefined) (into as Record<string, unknown>)[field[0]] = r[field[1]]();
    else if (other !== undefined) other(into);
    else r.skip();
  }
  return into;
}
