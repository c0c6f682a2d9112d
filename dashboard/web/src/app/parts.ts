/** parts are the pieces of the program that are loaded when they are first needed. */
export const parts = {
  devices: () => import("../screens/Devices.svelte"),
  device: () => import("../screens/Device.svelte"),
  topics: () => import("../screens/Topics.svelte"),
  connect: () => import("../screens/Connect.svelte"),
  chat: () => import("../chat/ChatPanel.svelte"),
};

/** preload fetches what is not there yet, without haste. A part that fails to come is asked for again when it is needed. */
export function preload(): void {
  for (const load of Object.values(parts)) load().catch(() => undefined);
}
