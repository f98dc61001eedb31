/**
 * The server's time. The device's own clock may be wrong by any amount, so relative times go by what the server says,
 * and by a clock of this page that nobody sets.
 */
const GOOD_MS = 1_000; // a round trip that is longer says little about when in it the server answered

let offset = null; // the server's time less `performance.now()`
let precision = Infinity;

/**
 * Hear what time it is.
 *
 * @param {number} now the server's time in ms since the Unix epoch.
 * @param {number} roundTripMs how long the question and its answer took together; the answer was half of it.
 */
export const hearServerTime = (now, roundTripMs = 0) => {
  if (!Number.isFinite(now)) return;
  if (offset !== null && roundTripMs > Math.max(GOOD_MS, precision)) return;
  precision = roundTripMs;
  offset = now + roundTripMs / 2 - performance.now();
};

/** Whether the server has said what time it is. */
export const knowsServerTime = () => offset !== null;

/** The server's time in ms since the Unix epoch; the device's until the server has said it. */
export const serverNow = () => (offset === null ? Date.now() : performance.now() + offset);
