import type { Words } from "..";

export const alerts: Words["alerts"] = {
  title: "Alertas",
  kinds: "Tipos de alerta",
  all: "Todas",
  kind: {
    hub: "Hub",
    silent: "Dispositivos en silencio",
    undecodable: "No decodificables",
    refused: "Conexiones rechazadas o cortadas",
    missed: "Mensajes perdidos",
    dropped: "Descartes",
    lost: "Perdido en este navegador",
    clock: "Reloj",
  },
  none: "Todo en orden",
  reporting: (n) => (n === "1" ? "1 dispositivo envía datos." : `${n} dispositivos, ninguno en silencio.`),
  dropped: (n, reason) => `${n} descartados: ${reason}`,
};
