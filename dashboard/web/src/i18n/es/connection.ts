import type { Words } from "..";

export const connection: Words["connection"] = {
  sse: "En vivo · SSE",
  sseWhy:
    "Algo bloquea los WebSockets entre este navegador y el hub. Todo llega por eventos del servidor (SSE); de vez en cuando se prueba de nuevo.",
  behind: (by) => `El reloj de este navegador va ${by} atrasado; las horas que se muestran son las del hub.`,
  ahead: (by) => `El reloj de este navegador va ${by} adelantado; las horas que se muestran son las del hub.`,
  updated: (from, to) => `El hub se ha actualizado: ${from} → ${to}. Esta página es todavía de la versión anterior.`,
  reload: "Recargar",
  losses: {
    bad: (count) => `este navegador: ${count} mensajes no comprendidos`,
    truncated: (count) => `este navegador: ${count} veces menos historial del pedido`,
    beyond: (count) => `este navegador: ${count} dispositivos por encima de su límite`,
  },
  drops: (reasons) => `broker: sin entregar o sin conservar: ${reasons}`,
  gaps: (count) => `hub: ${count} huecos comunicados a pantallas y suscriptores`,
  since: (what, since) => `${what}, desde ${since}`,
};
