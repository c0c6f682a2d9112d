import { describe, expect, it, vi } from "vitest";
import { Frames, Store } from "../src/core/frame";

class Counter extends Store {
  add(): void {
    this.changed();
  }
}

function manual() {
  const asked: (() => void)[] = [];
  return { asked, frames: new Frames((run) => asked.push(run)), next: () => asked.shift()?.() };
}

describe("Frames and Store", () => {
  it("asks for one frame for many changes, and for none when nobody listens or nothing changed", () => {
    const { asked, frames, next } = manual();
    const store = new Counter(frames);
    store.add();
    expect(asked).toHaveLength(0);
    const listener = vi.fn();
    const end = store.subscribe(listener);
    for (let i = 0; i < 100; i++) store.add();
    expect(asked).toHaveLength(1);
    expect(listener).not.toHaveBeenCalled();
    next();
    expect(listener).toHaveBeenCalledTimes(1);
    expect(store.version).toBe(101);
    expect(asked).toHaveLength(0);
    end();
    store.add();
    expect(asked).toHaveLength(0);
  });

  it("leaves to the next frame what is requested during one", () => {
    const { asked, frames, next } = manual();
    const store = new Counter(frames);
    let calls = 0;
    store.subscribe(() => {
      if (++calls === 1) store.add();
    });
    store.add();
    next();
    expect(calls).toBe(1);
    expect(asked).toHaveLength(1);
    next();
    expect(calls).toBe(2);
  });
});
