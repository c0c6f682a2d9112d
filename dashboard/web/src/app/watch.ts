import { createSubscriber } from "svelte/reactivity";
import type { Store } from "../core/frame";

/**
 * watch gives a component a store: whoever reads it in a template, `$derived` or `$effect` runs again when its version
 * moves, at most once a frame. The store itself stays plain, so its data costs the framework nothing. What a store hands out
 * may be the same object as before with other figures in it: a `$derived` or `{@const}` must hold a figure, not such an object.
 */
export function watch<T extends Store>(store: T): () => T {
  const subscribe = createSubscriber((update) => store.subscribe(update));
  return () => {
    subscribe();
    return store;
  };
}
