/** How much a tab's feeds had missed while they were out of step with the server. */
import { connection } from "./store.js";

const CAUGHT_UP_MS = 6_000;
const NOTICEABLE_MS = 1_500; // an absence as long as the banner's patience

let absentSince = null; // performance.now() when the feeds lost step
let sayTimer = null;

export const noteAbsence = () => {
  absentSince ??= performance.now();
};

/** The feeds are in step again, and had missed so many messages. */
export const caughtUp = (count) => {
  if (absentSince === null) return;
  const noticed = performance.now() - absentSince > NOTICEABLE_MS;
  absentSince = null;
  if (count === 0 && !noticed) return;
  connection.set({ caught_up: count });
  clearTimeout(sayTimer);
  sayTimer = setTimeout(() => connection.set({ caught_up: null }), CAUGHT_UP_MS);
};
