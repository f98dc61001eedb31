/** Values that components can watch, and the one that says how the tab's connection stands. */
import { useSyncExternalStore } from "react";

export const isBrowser = typeof window !== "undefined";

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

/** status: connecting, connected, disconnected (being retried) or failed (ended by the server). */
export const connection = new Store({
  status: "connecting",
  is_connected: false,
  is_answering: true, // false while the connection is open and nothing comes over it
  online: isBrowser ? navigator.onLine : true,
  obstacle: "", // what keeps it from connecting: "sign_in_page", "another_server" or "no_websockets"
  error: "",
  action: "", // what a person can do about the error: "sign_in" or "reload"
  client_id: "",
  latency: null, // ms, of a round trip
  since: null, // ms since the epoch when the status began
  caught_up: null, // how many messages an absence had missed, said for a while after it
  degraded: [], // what the server says is away or late: database, provider, delivery
  late: 0, // by how many seconds frames come late; 0 while they come in time
  you: null, // {person, tenant}, the ids of who is signed in, once the server has said so
});
