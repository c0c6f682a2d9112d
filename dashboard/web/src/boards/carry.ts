import type { SeriesName } from "./model";

/**
 * carry is the series that somebody has picked up from a chart and will put into a board. It is not in the URL: a link must not
 * change what is kept.
 */
export const carry: { series?: SeriesName } = {};
