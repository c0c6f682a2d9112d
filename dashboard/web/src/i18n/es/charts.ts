import type { Words } from "..";

export const charts: Words["charts"] = {
  range: "Intervalo de tiempo",
  chosen: "Elegido",
  choose: "Desde … hasta …",
  from: "Desde",
  to: "Hasta",
  show: "Mostrar",
  cancel: "Cancelar",
  earlier: "Antes",
  later: "Después",
  keys: "Las flechas leen valores, + y − amplían y reducen, Escape vuelve.",
  save: (as) => `Guardar como ${as}`,
};
