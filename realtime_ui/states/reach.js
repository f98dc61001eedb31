/** Whether anybody answers: over the open connection, and at the app's address while there is none. */
import { jitter, whoAnswers } from "./api.js";
import { connection, isBrowser } from "./store.js";

const QUIET_CHECK_MS = 1_000;
const QUIET_SLACK_MS = 3_000; // a ping of the server may be so late before it counts as not answering
const LOOK_MS = 2_500; // after so long without a connection, see who answers at the address
const LOOK_MAX_MS = 30_000;
const IN_ITS_PLACE = ["sign_in_page", "another_server"];

let manager = null;
let opened = false; // a WebSocket has opened since the connection was lost
let lookTimer = null;
let heardAt = 0; // performance.now() of the last packet
let unanswered = false; // an echo was left without its answer

const sayAnswering = () => {
  const engine = manager?.engine;
  const quiet = performance.now() - heardAt > (engine?._pingInterval ?? 0) + QUIET_SLACK_MS;
  const is_answering = !(connection.value.is_connected && (quiet || unanswered));
  if (is_answering !== connection.value.is_answering) connection.set({ is_answering });
};

const heard = () => {
  opened = true;
  heardAt = performance.now();
  if (!connection.value.is_answering) sayAnswering();
};

/** Notice what comes over a Socket.IO manager's WebSockets; the first one may have been open before. */
export const listenTo = (socketManager) => {
  manager = socketManager;
  heardAt = performance.now();
  for (const event of ["open", "ping", "packet"]) manager.on(event, heard);
};

/** Say whether the last question over the connection was answered in time. */
export const sayAnswered = (answered) => {
  unanswered = !answered;
  sayAnswering();
};

/**
 * While there is no connection, find out why: something else answers in place of the app, or the app does and no
 * WebSocket opens. The device counts as offline only where nobody answers at all.
 */
export const startLooking = () => {
  if (!isBrowser || lookTimer !== null) return;
  connection.set({ online: navigator.onLine });
  opened = false;
  let wait = LOOK_MS;
  let before = "";
  const look = async () => {
    const timer = lookTimer;
    const answers = await whoAnswers();
    if (lookTimer !== timer) return; // connected, or ended, meanwhile
    const blocked = answers === "app" && before === "app" && !opened;
    before = answers;
    connection.set({
      obstacle: IN_ITS_PLACE.includes(answers) ? answers : blocked ? "no_websockets" : "",
      online: answers === "nobody" ? navigator.onLine : true,
    });
    lookTimer = setTimeout(look, jitter(wait));
    wait = Math.min(wait * 2, LOOK_MAX_MS);
  };
  lookTimer = setTimeout(look, LOOK_MS);
};

export const stopLooking = () => {
  clearTimeout(lookTimer);
  lookTimer = null;
  if (connection.value.obstacle || !connection.value.online) connection.set({ obstacle: "", online: true });
};

if (isBrowser) {
  setInterval(sayAnswering, QUIET_CHECK_MS);
  window.addEventListener("offline", () => connection.value.is_connected || connection.set({ online: false }));
  window.addEventListener("online", () => connection.set({ online: true }));
}
