import { expect, type Page, test } from "@playwright/test";
import mqtt from "mqtt";
import { go, live, open, origin, results, settled, watch } from "./page";
import { screens } from "./screens";

// Fifty texts that mean harm, as names of devices, topics, units, words of a chat and names of boards, against a hub of its own
// (PULSO_URL, PULSO_MQTT). Each that is executed calls harm().
const texts = [
  "<script>harm()</script>",
  '"><script>harm()</script>',
  "<img src=x onerror=harm()>",
  "<svg onload=harm()>",
  "<svg><script>harm()</script></svg>",
  "<svg><animate onbegin=harm() attributeName=x dur=1s>",
  "<body onload=harm()>",
  "<iframe srcdoc='<script>parent.harm()</script>'>",
  "<iframe src=javascript:parent.harm()>",
  "<object data=javascript:harm()>",
  "<embed src=javascript:harm()>",
  "<details open ontoggle=harm()>",
  "<input autofocus onfocus=harm()>",
  "<video><source onerror=harm()></video>",
  "<marquee onstart=harm()>",
  "<math><mtext><img src=x onerror=harm()></mtext></math>",
  "<style>@import'//evil.invalid/x.css'</style>",
  "<link rel=stylesheet href=//evil.invalid/x.css>",
  "<meta http-equiv=refresh content='0;url=//evil.invalid'>",
  "<base href=//evil.invalid>",
  "<form action=//evil.invalid><button autofocus>x</button></form>",
  "<template><img src=x onerror=harm()></template>",
  "<img src=//evil.invalid/pixel.png>",
  "<a href=javascript:harm()>x</a>",
  "javascript:harm()",
  "data:text/html,<script>harm()</script>",
  "' onmouseover='harm()",
  '" onfocus="harm()" autofocus="',
  "` onload=`harm()",
  "--><script>harm()</script><!--",
  "]]><script>harm()</script>",
  "</title><script>harm()</script>",
  "</textarea><script>harm()</script>",
  "</style><script>harm()</script>",
  "{@html '<img src=x onerror=harm()>'}",
  "{{constructor.constructor('harm()')()}}",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what somebody sends.
  "${harm()}",
  "<%= harm() %>",
  "';harm();//",
  "\\u003cimg src=x onerror=harm()\\u003e",
  "&lt;img src=x onerror=harm()&gt;",
  "%3Cimg%20src=x%20onerror=harm()%3E",
  "__proto__",
  "constructor",
  "toString",
  "..%2f..%2fetc",
  "x);background:url(//evil.invalid)",
  "\u202Egnp.exe\u202C \u200B\uFEFF",
  "👩‍👩‍👧‍👦 Ω≈ç√ ﷽ \u0301\u0301\u0301",
  `long ${"W".repeat(4_000)}`,
];

/** name is a text as a topic's level can have it: no slash and no wildcard. */
const name = (text: string) => text.replace(/[/+#]/g, "_").slice(0, 200);

let problems: string[];

/** A page in which harm would be seen, whatever it did. */
async function guarded(page: Page): Promise<void> {
  problems = watch(page, /40[0-9]/);
  await page.addInitScript(() => {
    const harmed: string[] = [];
    Object.assign(window, { harmed, harm: () => harmed.push("harm() was called") });
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      harmed.push(`${violatedDirective}: ${blockedURI}`),
    );
  });
}
const harmed = (page: Page) => page.evaluate(() => (window as unknown as { harmed: string[] }).harmed);

test.beforeAll(async ({ request }) => {
  const client = await mqtt.connectAsync(`mqtt://${process.env.PULSO_MQTT}`, { protocolVersion: 5 });
  for (const [i, text] of texts.entries()) {
    const body = { [name(text)]: { value: i, unit: text.slice(0, 60) }, note: text, "Content Type": text };
    await client.publishAsync(`devices/${name(text)}/telemetry`, JSON.stringify(body), { qos: 1 });
    await client.publishAsync(`plant/${name(text)}/${name(text)}`, text, { qos: 1 });
    await client.publishAsync("chat/general", JSON.stringify({ from: text.slice(0, 60), text: text.slice(0, 1_000) }), {
      qos: 1,
    });
    const board = {
      name: text.slice(0, 200),
      version: "",
      panels: [
        {
          title: text.slice(0, 100),
          series: [{ device: name(text), topic: `devices/${name(text)}/telemetry`, field: `${name(text)}.value` }],
        },
      ],
    };
    await request.put(`/api/v1/boards/b${i}`, { data: board, headers: { origin } });
  }
  await client.endAsync();
});

test("fifty texts that mean harm are shown on every screen, and do none", async ({ page }) => {
  test.setTimeout(120_000);
  expect(texts.length).toBe(50);
  await guarded(page);
  const answer = await page.goto("/");
  const policy = answer?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("default-src 'self'");
  expect(policy).not.toContain("unsafe");
  await live(page);
  for (const [i, text] of texts.entries()) {
    const device = name(text);
    for (const { path, show } of i % 25 === 0 ? screens(device, `b${i}`, `devices/${device}/telemetry`) : []) {
      await go(page, path);
      await (await show?.(page))?.();
    }
    // Those that take their words from it are looked at for each.
    for (const path of [
      `/devices/${encodeURIComponent(device)}?chat=open`,
      `/topics?path=${encodeURIComponent(`plant/${device}/${device}`)}`,
      `/boards/b${i}`,
    ]) {
      await go(page, path);
    }
  }
  await open(page, "/?chat=open");
  await settled(page);
  await page.screenshot({ path: `${results}/hostile.png` });
  await expect(page.getByTestId("chat")).toContainText("harm()");
  await open(page, "/devices?q=script");
  await expect(page.getByTestId("device-row").filter({ hasText: "<script>harm()" }).first()).toBeVisible();
  expect(await harmed(page)).toEqual([]);
  expect(problems).toEqual([]);
});

test("a message of two megabytes is shown in part, and one that is too large is refused", async ({ page }) => {
  await guarded(page);
  await open(page, "/topics?path=devices%2Flarge%2Ftelemetry");
  /** publish tells whether the hub took a message of so many bytes, or cut the client off. */
  const publish = async (size: number) => {
    const client = await mqtt.connectAsync(`mqtt://${process.env.PULSO_MQTT}`, {
      protocolVersion: 4,
      reconnectPeriod: 0,
    });
    const gone = new Promise<string>((done) => client.on("close", () => done("refused")));
    const text = JSON.stringify({ level: 7, text: "" });
    const body = text.replace('""', `"${"L".repeat(size - text.length + 2)}"`);
    const taken = client.publishAsync("devices/large/telemetry", body, { qos: 1 }).then(() => "taken");
    taken.catch(() => undefined);
    const outcome = await Promise.race([taken, gone]);
    client.end(true);
    return outcome;
  };
  expect(await publish(5_000_000)).toBe("refused");
  expect(await publish(2_000_000)).toBe("taken");
  const payload = page.getByTestId("payload");
  await expect(payload).toContainText("LLL", { timeout: 20_000 });
  await expect(page.locator("main")).toContainText(/first [\d,]+ of 2M characters/);
  expect((await payload.textContent())?.length).toBeLessThan(200_000);
  await page.screenshot({ path: `${results}/large.png` });
  const began = Date.now();
  await go(page, "/devices?q=large");
  await expect(page.getByTestId("device-row").first()).toBeVisible();
  console.log(`the next screen after 2 MB: ${Date.now() - began} ms`);
  await go(page, "/errors");
  await expect(page.getByTestId("refused-list")).toContainText(
    /too large: packet of 5,?000,?\d+ bytes, at most 4,?194,?304/,
  );
  expect(await harmed(page)).toEqual([]);
  expect(problems).toEqual([]);
});
