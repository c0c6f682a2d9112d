import { execFileSync } from "node:child_process";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect, type Page, test } from "@playwright/test";

// The way between the page and the hub: WebSockets that are blocked, a hub that is away, one of another version, nonsense on the
// line, clocks that are wrong, storage that is denied.
test.describe.configure({ mode: "serial" });

const hub = new URL(process.env.PULSO_URL ?? "");
const [host, port] = (process.env.PULSO_MQTT ?? "").split(":") as [string, string];
const results = process.env.PULSO_RESULTS ?? "test-results";

function publish(topic: string, message: string): void {
  execFileSync("mosquitto_pub", ["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", message]);
}

/** Way stands between the page and the hub. It refuses upgrades while blocking, and everything while down. */
class Way {
  blocking = false;
  #down = false;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((req, res) => {
      const options = { host: hub.hostname, port: hub.port, method: req.method, path: req.url, headers: req.headers };
      const up = request(options, (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(res);
      });
      up.on("error", () => res.destroy());
      res.on("close", () => up.destroy());
      req.pipe(up);
    });
    this.#server.on("connection", (socket: Socket) => {
      if (this.#down) socket.destroy();
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("upgrade", (req: IncomingMessage, socket: Socket) => {
      if (this.blocking) {
        socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
      }
      const up = connect(Number(hub.port), hub.hostname, () => {
        const headers = req.rawHeaders.map((text, i) => text + (i % 2 === 0 ? ": " : "\r\n")).join("");
        up.write(`${req.method} ${req.url} HTTP/1.1\r\n${headers}\r\n`);
        up.pipe(socket).pipe(up);
      });
      up.on("error", () => socket.destroy());
      socket.on("error", () => up.destroy());
      socket.on("close", () => up.destroy());
    });
  }

  set down(down: boolean) {
    this.#down = down;
    if (down) for (const socket of this.#sockets) socket.destroy();
  }

  listen(): Promise<string> {
    return new Promise((done) =>
      this.#server.listen(0, "127.0.0.1", () => {
        done(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
      }),
    );
  }

  close(): void {
    this.#server.close();
    this.down = true;
  }
}

const proxy = new Way();
let url = "";
test.beforeAll(async () => {
  url = await proxy.listen();
});
test.afterAll(() => proxy.close());

const pill = (page: Page) => page.getByTestId("connection-pill");
const live = (page: Page, timeout = 10_000) => expect(pill(page)).toHaveAttribute("data-state", "live", { timeout });
const valueIn = (page: Page, device: string) =>
  page.locator(`[data-testid=device-row][data-device="${device}"]`).getByTestId("device-value");
async function introduce(page: Page): Promise<void> {
  await page.getByTestId("chat-name").fill("Ana");
  await page.getByTestId("chat-name").press("Enter");
}

test("everything goes over server-sent events where WebSockets are blocked, and back when they are not", async ({
  page,
}) => {
  publish("home/hall/temp", "18.5");
  proxy.blocking = true;
  await page.goto(`${url}/devices?chat=open`);
  await live(page);
  await expect(pill(page)).toHaveText(/Live over SSE/);
  await expect(pill(page)).toHaveAttribute("title", /blocks WebSockets/);
  await expect(valueIn(page, "hall")).toContainText("18.5");
  publish("home/hall/temp", "19.25");
  await expect(valueIn(page, "hall")).toContainText("19.25");

  await introduce(page);
  await page.getByTestId("chat-input").fill("over server-sent events");
  await page.getByTestId("chat-input").press("Enter");
  await expect(page.getByTestId("chat-message").last()).toContainText("over server-sent events");
  await page.screenshot({ path: `${results}/sse.png` });

  proxy.blocking = false;
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await expect(pill(page)).toHaveAttribute("data-over", "ws");
  await expect(pill(page)).not.toHaveText(/SSE/);
  publish("home/hall/temp", "20.75");
  await expect(valueIn(page, "hall")).toContainText("20.75");
});

test("a hub that was away for five seconds is back within two, and the page is where it was", async ({ page }) => {
  await page.goto(`${url}/devices?q=hall&selected=hall&chat=open`);
  await live(page);
  await introduce(page);
  await page.getByTestId("chat-input").fill("a draft");
  proxy.down = true;
  const cut = Date.now();
  await expect(pill(page)).toHaveAttribute("data-state", "reconnecting", { timeout: 2_000 });
  await expect
    .poll(() => valueIn(page, "hall").evaluate((one) => Number(getComputedStyle(one).opacity)), { timeout: 2_000 })
    .toBeLessThan(0.6);
  await expect(page.getByTestId("banner")).toContainText(/from \d s ago/);
  publish("home/hall/temp", "15.5");
  await page.waitForTimeout(5_000 - (Date.now() - cut));
  proxy.down = false;
  const isLive = () => document.querySelector("[data-testid=connection-pill][data-state=live]") !== null;
  await page.waitForFunction(isLive, undefined, { polling: 20, timeout: 2_200 });
  await expect(valueIn(page, "hall")).toContainText("15.5");
  await expect(pill(page)).toHaveAttribute("data-over", "ws");
  await expect(page.getByTestId("chat-input")).toHaveValue("a draft");
  await expect(page.getByTestId("device-preview")).toBeVisible();
  await expect(page).toHaveURL(/q=hall&selected=hall/);
});

test("the hub hears how long it took until a message was painted", async ({ page, request }) => {
  await page.goto("/devices");
  await live(page);
  await expect(valueIn(page, "hall")).toContainText(/\d/);
  let n = 0;
  await expect
    .poll(
      async () => {
        publish("home/hall/temp", String(15 + n++ / 10));
        const text = await (await request.get("/metrics")).text();
        return Number(/^pulso_gateway_painted_seconds_count (\d+)/m.exec(text)?.[1]);
      },
      { timeout: 12_000, intervals: [250] },
    )
    .toBeGreaterThan(2);
  const hubSays = await page.evaluate(
    () =>
      new Promise<{ screen: { p50: number; p99: number; screens: number } }>((resolve) => {
        const source = new EventSource("/sse?form=hub&filter=%23");
        source.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          const { latency } = message.snapshot?.hub ?? message.hub ?? {};
          if (!latency?.screen.screens) return;
          source.close();
          resolve(latency);
        };
      }),
  );
  expect(hubSays.screen.screens).toBe(1);
  expect(hubSays.screen.p50).toBeGreaterThan(0);
  expect(hubSays.screen.p99).toBeLessThan(1_000);
});

test("what is nonsense is counted and said, and harms nothing", async ({ page }) => {
  let nonsense = 0;
  await page.routeWebSocket("**/ws", (line) => {
    const far = line.connectToServer();
    far.onMessage((message) => {
      const junk = [
        "not binary",
        Buffer.of(),
        Buffer.of(255, 255, 255),
        Buffer.of(82, 5, 1),
        Buffer.alloc(100_000, 10),
      ];
      if (nonsense < junk.length) line.send(junk[nonsense++]);
      line.send(message);
    });
  });
  await page.goto("/devices");
  await live(page);
  await expect(valueIn(page, "hall")).toContainText(/\d/);
  await expect(page.getByTestId("drops")).toContainText("5");
  await expect(page.getByTestId("drops")).toHaveAttribute("title", /this browser: 5 messages not understood, since \d/);
  publish("home/hall/temp", "16.25");
  await expect(valueIn(page, "hall")).toContainText("16.25");
});

test("a hub that was updated is said to be, and the page reloads when it is asked to", async ({ page }) => {
  let links = 0;
  const lines: { close: (options: { code: number }) => Promise<void> }[] = [];
  await page.routeWebSocket("**/ws", (line) => {
    const later = links++ > 0;
    lines.push(line);
    line.connectToServer().onMessage((message) => {
      // The version is the third field of the welcome; another of the same length keeps the lengths as they are.
      const text = Buffer.from(message as Buffer).toString("latin1");
      line.send(later ? Buffer.from(text.replace("(devel)", "(newer)"), "latin1") : message);
    });
  });
  await page.goto("/devices");
  await live(page);
  await expect(page.getByTestId("updated")).toHaveCount(0);
  for (const line of lines) await line.close({ code: 1011 });
  await expect(page.getByTestId("updated")).toContainText(/\(devel\) → \(newer\)/);
  await page.screenshot({ path: `${results}/updated.png` });
  await live(page);
  await Promise.all([page.waitForEvent("load"), page.getByTestId("updated").getByRole("button").click()]);
  await live(page);
  await expect(page.getByTestId("updated")).toHaveCount(0);
});

test("a clock that is wrong is told of, and ages are the hub's", async ({ page }) => {
  await page.addInitScript(() => {
    const now = Date.now;
    Date.now = () => now() - 185_000;
  });
  await page.goto("/devices");
  await live(page);
  await expect(pill(page)).toHaveAttribute("title", /clock is 3 min behind/);
  publish("home/hall/temp", "17");
  await expect(page.locator('[data-testid=device-row][data-device="hall"] .age')).toHaveText(/^\d s$/);
});

test("where storage is denied, preferences last as long as the page", async ({ page }) => {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.addInitScript(() => {
    Object.defineProperty(window, "localStorage", {
      get: () => {
        throw new DOMException("denied", "SecurityError");
      },
    });
  });
  await page.goto("/devices?chat=open");
  await live(page);
  const before = await page.evaluate(() => document.documentElement.dataset.theme ?? "");
  await page.keyboard.press("t");
  await expect.poll(() => page.evaluate(() => document.documentElement.dataset.theme ?? "")).not.toBe(before);
  await introduce(page);
  await expect(page.getByTestId("chat-input")).toBeVisible();
  expect(errors).toEqual([]);
});
