/**
 * How late frames come. They wait on a slow line, and in a page that is slower than its messages; the connection is well
 * all the while, and what is shown is not what is happening.
 */
import { knowsServerTime, serverNow } from "./server_time.js";
import { connection } from "./store.js";

const LATE_MS = 3_000;
const QUIET_MS = 2_000; // without a late frame for so long, the page has caught up

let timer = null;

const say = (seconds) => {
  if (connection.value.late !== seconds) connection.set({ late: seconds });
};

/** Hear of a frame that the server sent at `sentAt`, in ms by its own clock. */
export const noteFrame = (sentAt) => {
  if (!sentAt || !knowsServerTime()) return;
  const late = serverNow() - sentAt;
  clearTimeout(timer);
  if (late > LATE_MS) {
    say(Math.round(late / 1000));
    timer = setTimeout(() => say(0), QUIET_MS);
  } else say(0);
};
