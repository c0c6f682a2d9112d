import type { Words } from "..";

export const query: Words["query"] = {
  expression: "Expresión PromQL",
  hint: "Enter consulta, Mayús+Enter empieza una línea.",
  ask: "Consultar",
  names: "Sugerencias",
  examples: "Prueba una de estas",
  last: "Últimas consultas",
  empty: "Nada coincide en este intervalo.",
  failed: (why) => `Sin respuesta: ${why}`,
  took: (at, ms) => `respondido a las ${at} en ${ms} ms`,
  step: (age) => `un punto cada ${age}`,
  series: "Serie",
  value: "Valor",
  drawn: (shown, all) => `se dibujan ${shown} de ${all} series`,
  listed: (shown, all) => `las primeras ${shown} de ${all}`,
};
