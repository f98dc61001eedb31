/**
 * The tab's connection to `/feed`, a second Socket.IO namespace on Reflex's own WebSocket.
 *
 * Reflex owns the WebSocket. This module notices its `/_event` socket when it connects, opens `/feed` on the
 * same connection when something wants it, and keeps one store of how the connection stands.
 */
import { Socket } from "socket.io-client";
import { useSyncExternalStore } from "react";
import { Backoff } from "./backoff.js";
import { hearServerTime } from "./server_time.js";

const EVENT_NAMESPACE = "/_event";
const NAMESPACE = "/feed";
const ACK_TIMEOUT_MS = 10_000;
const PING_MS = 30_000;
const PROBE_MS = 2_000;
const TICK_MS = 5_000;
const ASLEEP_MS = 15_000; // a timer this late means that the machine or the tab slept
const CAUGHT_UP_MS = 6_000;
const NOTICEABLE_MS = 1_500; // an absence as long as the banner's patience

const isBrowser = typeof window !== "undefined";

/** A value that components can watch. */
export class Store {
  constructor(value) {
    this.value = value;
    this.listeners = new Set();
    this.subscribe = (listener) => {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    };
    this.get = () => this.value;
  }

  set(change) {
    this.value = { ...this.value, ...change };
    for (const listener of [...this.listeners]) listener();
  }
}

export const useStore = (store) =>
  useSyncExternalStore(store.subscribe, store.get, store.get);

/** status: connecting, connected, disconnected (being retried) or failed (refused). */
export const connection = new Store({
  status: "connecting",
  is_connected: false,
  online: isBrowser ? navigator.onLine : true,
  error: "",
  client_id: "",
  latency: null, // ms, of a round trip
  since: null, // ms since the epoch when the status began
  caught_up: null, // how many messages an absence had missed, said for a while after it
  degraded: [], // what the server says is away: database, provider
});

let eventSocket = null;
let feedSocket = null;

const setStatus = (status, error = "") => {
  const { value } = connection;
  if (value.status === status && value.error === error) return;
  connection.set({
    status,
    error,
    is_connected: status === "connected",
    client_id: status === "connected" ? (feedSocket?.id ?? "") : value.client_id,
    since: value.status === status ? value.since : Date.now(),
    degraded: status === "connected" ? value.degraded : [], // told anew on every connection
  });
};

const parts = [];

/**
 * Put something onto the connection: `wanted()` says whether it needs `/feed` now, `connected()` and
 * `paused()` are called when that comes and goes, `events` takes what the server sends, by name.
 */
export const addPart = (part) => parts.push(part);

const adopt = (socket) => {
  if (socket === eventSocket) return;
  eventSocket = socket;
  feedSocket?.off();
  feedSocket?.disconnect();
  feedSocket = socket.io.socket(NAMESPACE);
  // Reflex creates its Manager so that nothing connects by itself: connect `/feed` after `/_event`.
  socket.on("connect", () => {
    if (feedSocket.connected || !parts.some((part) => part.wanted())) setStatus("connected");
    else connectFeed();
  });
  socket.on("disconnect", () => setStatus("disconnected"));
  socket.on("connect_error", (error) => setStatus("disconnected", error.message));
  feedSocket.on("connect", () => {
    setStatus("connected");
    retry.reset();
    measureLatency();
    for (const part of parts) part.connected();
  });
  feedSocket.on("disconnect", (reason) => {
    fellBehind();
    if (connection.value.status === "failed") return; // the server said why
    if (reason === "io server disconnect") setStatus("failed", "You have been signed out.");
    else setStatus("disconnected");
  });
  feedSocket.on("connect_error", (error) => {
    const refusal = error.data;
    if (refusal && !refusal.retryable) setStatus("failed", refusal.detail);
    else {
      setStatus("disconnected", error.message);
      retry.later(); // a refused namespace is not active any more
    }
  });
  feedSocket.on("behind", () => {
    // The server let this tab go because it did not read; what told so waited behind all the rest.
    fellBehind();
    for (const part of parts) part.connected();
  });
  feedSocket.on("closed", ({ detail }) => setStatus("failed", detail));
  feedSocket.on("health", ({ degraded }) => connection.set({ degraded }));
  feedSocket.onAny((event, data) => {
    for (const part of parts) part.events[event]?.(data);
  });
};

let absentSince = null; // performance.now() when the parts lost step
let sayTimer = null;

const fellBehind = () => {
  absentSince ??= performance.now();
  for (const part of parts) part.paused();
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

/**
 * Find out at once whether the connection still stands. After a sleep the socket may look open for minutes
 * though nobody is at the other end: without an answer it is closed, and Reflex opens another.
 */
const probe = async () => {
  if (!eventSocket) return;
  if (!eventSocket.connected) {
    eventSocket.reconnect?.();
    return;
  }
  if (!feedSocket.connected) return;
  const { engine } = eventSocket.io;
  try {
    await feedSocket.timeout(PROBE_MS).emitWithAck("echo");
  } catch {
    engine.close();
  }
};

/** See to it that `/feed` connects, now or as soon as Reflex's own namespace has. */
export const connectFeed = () => {
  // An active socket connects by itself whenever the WebSocket opens; a second CONNECT would confuse the server.
  if (feedSocket && !feedSocket.active && eventSocket?.connected) feedSocket.connect();
};

const retry = new Backoff(connectFeed);

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

/** What went wrong, in words. */
export const wordsOf = ({ detail, message, remedy }) => [detail ?? message, remedy].filter(Boolean).join(" ");

const measureLatency = async () => {
  const start = performance.now();
  try {
    const { now } = await ask("echo");
    const latency = performance.now() - start;
    hearServerTime(now, latency);
    connection.set({ latency: Math.round(latency) });
  } catch {
    // The connection's own events tell that it is gone.
  }
};

if (isBrowser) {
  const connect = Socket.prototype.connect;
  Socket.prototype.connect = function (...args) {
    if (this.nsp === EVENT_NAMESPACE) adopt(this);
    return connect.apply(this, args);
  };
  window.addEventListener("online", () => {
    connection.set({ online: true });
    probe();
  });
  window.addEventListener("offline", () => connection.set({ online: false }));
  // An open `/feed` would keep the WebSocket that Reflex closes when the page goes.
  window.addEventListener("pagehide", () => feedSocket?.disconnect());
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

/** Fetch from the API with the tab's cookie; in development it has another port than the page. */
export const fetchApi = async (path, options = {}) => {
  const base = eventSocket ? new URL(eventSocket.io.uri).origin.replace(/^ws/, "http") : "";
  const response = await fetch(base + path, { ...options, credentials: "include" });
  const body = await response.json();
  if (!response.ok) throw new Error(wordsOf(body));
  return body;
};

export const useConnection = () => useStore(connection);
