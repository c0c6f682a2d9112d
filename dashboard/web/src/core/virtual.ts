/** Window says which rows of a long list are drawn. */
export interface Window {
  /** first and last (exclusive) row drawn. */
  first: number;
  last: number;
  /** offset of the first drawn row from the top, in pixels. */
  offset: number;
  /** total height of the list, in pixels. */
  total: number;
}

/** visibleWindow is the rows in sight plus overscan on both sides. */
export function visibleWindow(
  scrollTop: number,
  viewport: number,
  rowHeight: number,
  count: number,
  overscan: number,
): Window {
  const total = count * rowHeight;
  const top = Math.max(0, Math.min(scrollTop, total - viewport));
  const first = Math.max(0, Math.floor(top / rowHeight) - overscan);
  const last = Math.min(count, Math.ceil((top + viewport) / rowHeight) + overscan);
  return { first, last: Math.max(first, last), offset: first * rowHeight, total };
}

/** scrollFor is the scroll position that brings row index into sight with the least movement. */
export function scrollFor(index: number, scrollTop: number, viewport: number, rowHeight: number): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  if (top + rowHeight > scrollTop + viewport) return top + rowHeight - viewport;
  return scrollTop;
}
