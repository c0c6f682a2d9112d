import { expect, test } from "@playwright/test";

// test/e2e publishes numbers from 0 on, and kills and restarts the hub meanwhile: an EventSource comes back by itself each
// time and goes on where it was, by the id of the last event that it got.
test("an EventSource goes through restarts of the hub without a hole", async ({ page }) => {
  await page.goto("/");
  const last = Number(process.env.PULSO_LAST ?? "0");
  const got = await page.evaluate(
    (last) =>
      new Promise<{ numbers: number[]; streams: number; kinds: string[] }>((resolve) => {
        const numbers: number[] = [];
        const kinds = new Set<string>();
        let streams = 0;
        const source = new EventSource("/sse?filter=count&from=start&rate=20");
        source.onopen = () => streams++;
        source.onmessage = (e) => {
          const message = JSON.parse(e.data);
          if (message.gap) kinds.add("gap");
          if (message.subscribed) kinds.add(message.subscribed.recovered ? "recovered" : "not recovered");
          for (const event of message.events ?? []) numbers.push(event.payload);
          if (numbers.at(-1) === last) {
            source.close();
            resolve({ numbers, streams, kinds: [...kinds] });
          }
        };
      }),
    last,
  );
  expect(got.numbers).toEqual(Array.from({ length: last + 1 }, (_, n) => n));
  expect(got.streams).toBeGreaterThanOrEqual(3);
  expect(got.kinds).toEqual(["recovered"]);
});

// What a WebSocket can, a page can without one: a session over SSE.
test("a page subscribes and publishes over a session of an EventSource", async ({ page }) => {
  await page.goto("/");
  const payload = await page.evaluate(
    () =>
      new Promise<unknown>((resolve, reject) => {
        const source = new EventSource("/sse?name=Ana");
        source.addEventListener("session", (e) => {
          const { session } = JSON.parse((e as MessageEvent).data);
          const post = (command: unknown) =>
            fetch("/api/v1/session", {
              method: "POST",
              headers: { "Pulso-Session": session },
              body: JSON.stringify(command),
            });
          source.onmessage = (e) => {
            const message = JSON.parse(e.data);
            if (message.error) reject(new Error(message.error.message));
            if (message.subscribed) void post({ id: 2, publish: { topic: "page", payload: { from: "a page" } } });
            if (message.events) {
              source.close();
              resolve(message.events[0].payload);
            }
          };
          void post({ id: 1, subscribe: { filters: ["page"] } });
        });
      }),
  );
  expect(payload).toEqual({ from: "a page" });
});
