import { expect, test } from "vitest";
import { changes, until } from "../src/core/inpast";

test("what changes the hub is told from what only asks", () => {
  expect(changes("GET", "/api/v1/commands")).toBe(false);
  expect(changes("POST", "/api/v1/decode")).toBe(false);
  for (const path of ["/api/v1/commands", "/api/v1/boards/b", "/api/v1/overrides", "/api/v1/devices/d"]) {
    for (const method of ["POST", "PUT", "DELETE"]) expect(changes(method, path)).toBe(true);
  }
});

test("a request gets no later answer than the moment", () => {
  expect(until("/api/v1/history?device=d&from=1&to=9000", 5_000.7)).toBe("/api/v1/history?device=d&from=1&to=5000");
  expect(until("/api/v1/history?device=d&from=1&to=4000", 5_000)).toBe("/api/v1/history?device=d&from=1&to=4000");
  expect(until("/api/v1/devices/a%20b/c", 5_000)).toBe("/api/v1/devices/a%20b/c?to=5000");
  expect(until("/api/v1/devices/?id=..", 5_000)).toBe("/api/v1/devices/?id=..&to=5000");
  expect(until("/api/v1/commands?device=d", 5_000)).toBe("/api/v1/commands?device=d&to=5000");
  expect(until("/api/v1/query?query=up", 5_500)).toBe("/api/v1/query?query=up&time=5.5");
  expect(until("/api/v1/query_range?query=up&start=1&end=9&step=1", 5_500)).toBe(
    "/api/v1/query_range?query=up&start=1&end=5.5&step=1",
  );
  // What is as it is, and what the hub is to judge.
  expect(until("/api/v1/boards", 5_000)).toBe("/api/v1/boards");
  expect(until("/api/v1/history?to=soon", 5_000)).toBe("/api/v1/history?to=soon");
});
