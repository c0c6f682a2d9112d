/** Stretch is the indices of the first and the last of points that are joined; the same where one stands alone. */
export type Stretch = [first: number, last: number];

/**
 * stretches divides a series where nothing was measured: at values that are not finite, and where two points are further
 * apart than gapAfter, ms. What is between two stretches is not known, and is not drawn. A hole divides nothing: there only
 * another series was measured.
 */
export function stretches(times: ArrayLike<number>, values: Column, gapAfter: number): Stretch[] {
  const found: Stretch[] = [];
  let open: Stretch | undefined;
  for (let i = 0; i < values.length; i++) {
    if (values[i] === undefined) continue;
    if (!Number.isFinite(values[i])) open = undefined;
    else if (open !== undefined && times[i] - times[open[1]] <= gapAfter) open[1] = i;
    else {
      open = [i, i];
      found.push(open);
    }
  }
  return found;
}

/**
 * dots is the indices of the points to draw as such: all of the measured ones where they are at most few, else those that
 * no line leads to.
 */
export function dots(joined: readonly Stretch[], few: number): number[] {
  const measured = joined.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (measured > few) return joined.filter(([first, last]) => first === last).map(([first]) => first);
  return joined.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
}

/** Column is values: NaN where nothing was measured, a hole where only others were. */
export type Column = ArrayLike<number | undefined>;
