const first = 250;
const limit = 8_000;

/**
 * backoff is how long to wait before attempt number `attempt` (from 0), in milliseconds: 0.25 s doubling to 8 s, between
 * half and all of it by chance, so that a thousand screens do not return in the same instant.
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(limit, first * 2 ** Math.min(attempt, 16));
  return ceiling * (0.5 + random() / 2);
}
