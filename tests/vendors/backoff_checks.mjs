// The waits of the browser's Backoff, on timers that run when told: [ms asked for, …] of 8 failures, of one more
// after a success, and how many retries ran.
import { Backoff } from "../../realtime_ui/states/backoff.js";

const timers = new Map();
let next = 1;
globalThis.setTimeout = (callback, ms) => timers.set(next, { callback, ms }) && next++;
globalThis.clearTimeout = (id) => timers.delete(id);

let retries = 0;
const backoff = new Backoff(() => (retries += 1));
const wait = () => {
  backoff.later();
  backoff.later(); // replaces the one before
  const [[id, { callback, ms }]] = [...timers];
  if (timers.size !== 1) throw new Error("two retries wait at once");
  timers.delete(id);
  callback();
  return ms;
};
const waits = Array.from({ length: 4 }, wait);
backoff.later();
backoff.reset();
const left = timers.size;
console.log(JSON.stringify({ waits, after: wait(), retries, left }));
