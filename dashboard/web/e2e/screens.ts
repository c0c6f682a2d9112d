import { expect, type Page } from "@playwright/test";

/** Screen is a state of the page that a person sees: a path, and what is done there. */
export interface Screen {
  name: string;
  path: string;
  /** show does what the path does not say, and returns what takes it away again. */
  show?: (page: Page) => Promise<() => Promise<void>>;
}

/** dialog opens what lies over the screen, and Escape closes it. */
const dialog = (testid: string, open: (page: Page) => Promise<void>) => async (page: Page) => {
  await open(page);
  await expect(page.getByTestId(testid)).toBeVisible();
  return async () => {
    await page.keyboard.press("Escape");
    await expect(page.getByTestId(testid)).toHaveCount(0);
  };
};

/** screens are all that there are: a new one is added here, and each test looks at it. */
export function screens(device: string, board: string, topic: string): Screen[] {
  const id = encodeURIComponent(device);
  return [
    { name: "overview", path: "/" },
    { name: "overview-chat", path: "/?chat=open" },
    { name: "devices", path: "/devices" },
    { name: "devices-none", path: "/devices?q=no-such-device" },
    { name: "devices-preview", path: `/devices?selected=${id}` },
    { name: "device", path: `/devices/${id}` },
    { name: "device-understood", path: `/devices/${id}?tab=understood` },
    { name: "device-commands", path: `/devices/${id}?tab=commands` },
    { name: "device-messages", path: `/devices/${id}?tab=messages` },
    { name: "device-unknown", path: "/devices/nobody%2Fhere" },
    { name: "topics", path: "/topics" },
    { name: "topics-none", path: "/topics?q=no-such-topic" },
    { name: "topic", path: `/topics?path=${encodeURIComponent(topic)}` },
    { name: "boards", path: "/boards" },
    { name: "board", path: `/boards/${encodeURIComponent(board)}` },
    { name: "query", path: "/query" },
    { name: "alerts", path: "/alerts" },
    { name: "errors", path: "/errors" },
    { name: "connect", path: "/connect" },
    { name: "settings", path: "/settings" },
    { name: "unknown", path: "/no-such-screen" },
    { name: "help", path: "/", show: dialog("help", (page) => page.keyboard.press("?")) },
    { name: "palette", path: "/", show: dialog("palette", (page) => page.keyboard.press("Control+k")) },
    { name: "travel", path: "/", show: dialog("travel-dialog", (page) => page.getByTestId("travel").click()) },
  ];
}

/** sizes are those of a desk and of a phone. */
export const sizes = {
  desktop: { width: 1440, height: 900 },
  phone: { width: 390, height: 844 },
} as const;
