const first = 250;
const limit = 8_000;
const growth = 1.2;

/**
 * backoff is how long to wait before attempt number `attempt` (from 0), in milliseconds: 0.25 s growing to 8 s, between
 * half and all of it by chance, so that a thousand screens do not return in the same instant. It grows so that a wait is about a
 * fifth of the time gone by: a hub that was away for five seconds is found again within two.
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(limit, first * growth ** Math.min(attempt, 64));
  return ceiling * (0.5 + random() / 2);
}
