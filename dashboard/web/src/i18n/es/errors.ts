import type { Words } from "..";

export const errors: Words["errors"] = {
  title: "Errores",
  since: (time) => `Lo rechazado, descartado o no decodificable desde que arrancó el hub, ${time}.`,
  none: "Sin errores",
  quiet: (time) => `Nada fue rechazado, descartado ni quedó sin decodificar desde que arrancó el hub, ${time}.`,
  past: "Del pasado se sabe qué dispositivos callaban o no se entendían. Descartes, rechazos y pérdidas de este navegador solo se conocen del presente.",
  undecodable: "Se guardan como llegaron, sin gráfica. El último de cada dispositivo y qué le pasa:",
  where: { broker: "Broker", hub: "Hub", browser: "Este navegador" },
  losses: {
    bad: (n) => `mensajes del hub no entendidos: ${n}`,
    truncated: (n) => `historial recortado por el hub: ${n}`,
    beyond: (n) => `dispositivos más allá de los que guarda la página: ${n}`,
  },
};
