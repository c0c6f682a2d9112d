/** sized tells the size of an element, CSS pixels, at first and whenever it changes; asking the element would have the page laid out. */
export function sized(element: Element, told: (size: DOMRectReadOnly) => void): () => void {
  const observer = new ResizeObserver(([{ contentRect }]) => told(contentRect));
  observer.observe(element);
  return () => observer.disconnect();
}
