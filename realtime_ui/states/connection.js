/**
 * The tab's connection to `/feed`, a second Socket.IO namespace on Reflex's own WebSocket.
 *
 * Reflex owns the WebSocket. This module notices its `/_event` socket when it connects, opens `/feed` on the
 * same connection when something wants it, and says how the connection stands. When the server ends a connection
 * it says why (`closed`, see core/endings.py); this module acts by what it is told.
 */
import { Socket } from "socket.io-client";
import { noteAbsence } from "./absence.js";
import { jitter, setApiOrigin } from "./api.js";
import { Backoff } from "./backoff.js";
import { hearTabs, recognise, tellTabs, whoIsSignedIn } from "./identity.js";
import { listenTo, sayAnswered, startLooking, stopLooking } from "./reach.js";
import { hearServerTime } from "./server_time.js";
import { connection, isBrowser, useStore } from "./store.js";

export { caughtUp } from "./absence.js";
export { wordsOf } from "./api.js";
export { Store, connection, useStore } from "./store.js";

const EVENT_NAMESPACE = "/_event";
const NAMESPACE = "/feed";
const ACK_TIMEOUT_MS = 10_000;
const RETRY_MS = 1_000;
const HOLD_STEP_MS = 300; // each failed attempt makes the next one wait longer by so much, up to HOLD_MAX_MS
const HOLD_MAX_MS = 5_000;
const PING_MS = 30_000;
const PROBE_MS = 2_000;
const TICK_MS = 5_000;
const ASLEEP_MS = 15_000; // a timer this late means that the machine or the tab slept
const RENEW_MS = 10_000; // a new WebSocket whose sign-in is refused within this time is not tried again

let eventSocket = null;
let feedSocket = null;

const setStatus = (status, error = "", action = "") => {
  const { value } = connection;
  if (value.status !== status || value.error !== error) {
    connection.set({
      status,
      error,
      action,
      is_connected: status === "connected",
      client_id: status === "connected" ? (feedSocket?.id ?? "") : value.client_id,
      since: value.status === status ? value.since : Date.now(),
      degraded: status === "connected" ? value.degraded : [], // told anew on every connection
    });
  }
  if (status === "connected" || status === "failed") stopLooking();
  else startLooking();
};

const parts = [];

/**
 * Put something onto the connection: `wanted()` says whether it needs `/feed` now, `connected()` and
 * `paused()` are called when that comes and goes, `events` takes what the server sends, by name.
 */
export const addPart = (part) => parts.push(part);

// Connecting again

let word = null; // why the server said that this connection ends, until there is another
let ended = null; // the ending after which this tab does not connect again by itself
let holdUntil = 0; // performance.now() before which Reflex's socket does not connect
let held = null; // {timer, go}: an attempt that waits until then
let attempts = 0; // how many failed since the last success

const hold = (ms) => {
  holdUntil = Math.max(holdUntil, performance.now() + ms);
};

const connectWhenDue = (connect) => {
  const go = () => {
    held = null;
    connect();
  };
  clearTimeout(held?.timer);
  const wait = holdUntil - performance.now();
  if (wait <= 0) go();
  else held = { timer: setTimeout(go, wait), go };
};

const connectNow = () => {
  holdUntil = 0;
  if (held) {
    clearTimeout(held.timer);
    held.go();
  } else eventSocket.reconnect?.();
};

/** See to it that `/feed` connects, now or as soon as Reflex's own namespace has. */
export const connectFeed = () => {
  if (ended && ended.action !== "sign_in") return;
  // An active socket connects by itself whenever the WebSocket opens; a second CONNECT would confuse the server.
  if (!feedSocket || feedSocket.active || !eventSocket?.connected) return;
  feedSocket.connect();
  if (connection.value.status === "connected") setStatus("connecting"); // what the page wants is not there yet
};

const retry = new Backoff(connectFeed);

const fellBehind = () => {
  noteAbsence();
  for (const part of parts) part.paused();
};

const lost = (ending = word) => ended || setStatus("disconnected", ending?.detail);

const adopt = (socket) => {
  if (socket === eventSocket) return;
  eventSocket = socket;
  setApiOrigin(new URL(socket.io.uri).origin.replace(/^ws/, "http"));
  stayUnlessLeaving(socket);
  listenTo(socket.io);
  startLooking();
  feedSocket?.off();
  feedSocket?.disconnect();
  feedSocket = socket.io.socket(NAMESPACE);
  // Reflex creates its Manager so that nothing connects by itself: connect `/feed` after `/_event`.
  socket.on("connect", () => {
    attempts = 0;
    word = null;
    if (feedSocket.connected || !(ended || parts.some((part) => part.wanted()))) setStatus("connected");
    else connectFeed();
  });
  socket.on("disconnect", (reason) => {
    lost();
    // Reflex leaves a socket alone that one of both ends closed on purpose.
    if (reason.startsWith("io ")) setTimeout(() => eventSocket.reconnect?.(), jitter(RETRY_MS));
  });
  socket.on("connect_error", ({ data: ending }) => {
    attempts += 1;
    hold(ending?.after_ms ? jitter(ending.after_ms) : Math.random() * Math.min(HOLD_STEP_MS * attempts, HOLD_MAX_MS));
    if (ending?.detail) word = ending; // the server refused, and said why
    lost();
  });
  feedSocket.on("connect", () => {
    word = ended = null;
    setStatus("connected");
    retry.reset();
    measureLatency();
    for (const part of parts) part.connected();
  });
  feedSocket.on("disconnect", (reason) => {
    fellBehind();
    lost();
    if (reason === "io server disconnect" && !ended) retry.later(word?.after_ms);
  });
  feedSocket.on("connect_error", ({ data: ending }) => {
    if (ending && !ending.reconnect) return endWith(ending);
    lost(ending);
    if (!feedSocket.active) retry.later(ending?.after_ms); // it was refused; else it connects with the WebSocket
  });
  feedSocket.on("behind", () => {
    // The server let this tab go because it did not read; what told so waited behind all the rest.
    fellBehind();
    for (const part of parts) part.connected();
  });
  feedSocket.on("closed", endWith);
  feedSocket.on("you", (you) => recognise(you) && tellTabs(you));
  feedSocket.on("health", ({ degraded }) => connection.set({ degraded }));
  feedSocket.onAny((event, data) => {
    for (const part of parts) part.events[event]?.(data);
  });
};

// Endings

let renewedAt = -Infinity;
const renewal = new Backoff(() => renew());

const endWith = (ending) => {
  if (ending.reconnect) {
    word = ending;
    hold(jitter(ending.after_ms));
  } else if (ended?.action === "sign_in" && ending.action === "sign_in") {
    setStatus("failed", ended.detail, ended.action); // refused once more: the first word stands
  } else {
    ended = ending;
    if (ending.action === "sign_in" && performance.now() - renewedAt > RENEW_MS) {
      setStatus("disconnected");
      renew();
    } else setStatus("failed", ending.detail, ending.action);
  }
};

/**
 * Before saying that a session is over, and when somebody may have signed in since, see whose the browser's cookie
 * is now. The WebSocket keeps the cookie that it came with, so for the same person another one is opened.
 */
const renew = async () => {
  const ending = ended;
  if (ending?.action !== "sign_in") return;
  let now;
  try {
    now = await whoIsSignedIn();
  } catch {
    if (ended === ending) renewal.later(); // the server did not say: nothing is known of a sign-out
    return;
  }
  renewal.reset();
  if (ended !== ending) return;
  if (!now) {
    setStatus("failed", ending.detail, ending.action);
    return;
  }
  renewedAt = performance.now();
  if (!recognise(now)) return;
  if (eventSocket.connected) eventSocket.io.engine.close(); // Reflex opens another
  else connectNow();
};

// Questions

/** The id of the open `/feed` socket, or undefined while it is not connected. */
export const feedId = () => (feedSocket?.connected ? feedSocket.id : undefined);

/** Send an event and wait for its answer; a refusal is thrown as the problem it is. */
export const ask = async (event, data) => {
  const answer = await feedSocket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, data);
  if (!answer.ok) throw answer.error ?? new Error(`${event} was refused`);
  return answer;
};

/** Send an event that needs no answer. */
export const tell = (event, data) => feedSocket?.connected && feedSocket.emit(event, data);

const measureLatency = async () => {
  const start = performance.now();
  const socket = feedId();
  try {
    const { now } = await ask("echo");
    const latency = performance.now() - start;
    hearServerTime(now, latency);
    connection.set({ latency: Math.round(latency) });
    sayAnswered(true);
  } catch {
    if (!socket || socket !== feedId()) return; // the connection's own events tell that it is gone
    sayAnswered(false);
    setTimeout(() => socket === feedId() && measureLatency(), jitter(TICK_MS));
  }
};

/**
 * Find out at once whether the connection still stands. After a sleep the socket may look open for minutes
 * though nobody is at the other end: without an answer it is closed, and Reflex opens another.
 */
const probe = async () => {
  if (!eventSocket) return;
  if (ended) renew();
  else if (!eventSocket.connected) connectNow();
  else if (feedSocket.connected) {
    const { engine } = eventSocket.io;
    try {
      await feedSocket.timeout(PROBE_MS).emitWithAck("echo");
    } catch {
      engine.close();
    }
  }
};

// The page's life

let maybeLeaving = false;

/**
 * Keep a socket open over Reflex's `beforeunload` handler: the page may stay, as after a click on a download or a
 * `mailto:` link, and nobody would open it again. When the page does go, `pagehide` follows, and closes it.
 */
const stayUnlessLeaving = (socket) => {
  const { disconnect } = socket;
  socket.disconnect = function () {
    return maybeLeaving ? this : disconnect.call(this);
  };
};

if (isBrowser) {
  const connect = Socket.prototype.connect;
  Socket.prototype.connect = function (...args) {
    if (this.nsp !== EVENT_NAMESPACE) return connect.apply(this, args);
    adopt(this);
    connectWhenDue(() => connect.apply(this, args));
    return this;
  };
  const first = { capture: true }; // before Reflex's own listeners
  const leaving = () => {
    maybeLeaving = true;
    setTimeout(() => (maybeLeaving = false));
  };
  const left = () => {
    maybeLeaving = false;
    feedSocket?.disconnect(); // an open `/feed` would keep the WebSocket that Reflex closes when the page goes
  };
  window.addEventListener("beforeunload", leaving, first);
  window.addEventListener("pagehide", left, first);
  hearTabs((you) => (ended ? renew() : connection.value.you && recognise(you)));
  window.addEventListener("online", probe);
  setInterval(() => feedSocket?.connected && measureLatency(), PING_MS);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && probe());
  document.addEventListener("resume", probe); // a tab that the browser had frozen
  window.addEventListener("pageshow", (event) => event.persisted && probe());
  let lastTick = Date.now();
  setInterval(() => {
    const late = Date.now() - lastTick - TICK_MS;
    lastTick = Date.now();
    if (late > ASLEEP_MS && document.visibilityState === "visible") probe();
  }, TICK_MS);
}

export const useConnection = () => useStore(connection);
