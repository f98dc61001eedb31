/**
 * The tab's outbox: what a person sends is kept in this browser until the server has answered, over reloads, closed
 * tabs and sign-outs, and is shown to that person alone.
 */
import { useEffect } from "react";
import { Store, addPart, ask, connectFeed, feedId, useConnection, useStore } from "./connection.js";
import { Outbox } from "./outbox_queue.js";
import { LayeredStore } from "./outbox_store.js";
import { isBrowser } from "./store.js";

const NAME = "realtime-ui outbox";
const LOCK_MS = 15_000; // another tab that has the lock may be frozen; an id is stored once, whoever sends it

/** A UUID; `crypto.randomUUID` exists on https and localhost alone. */
const newId = () => {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
};

/** Do some work while no other tab of the browser does any under the same name. */
const lock = async (name, work) => {
  if (!navigator.locks) return work();
  let begun = false;
  const once = () => {
    begun = true;
    return work();
  };
  try {
    return await navigator.locks.request(`${NAME} ${name}`, { signal: AbortSignal.timeout(LOCK_MS) }, once);
  } catch (error) {
    if (begun) throw error;
    return work();
  }
};

const tabs = isBrowser ? new BroadcastChannel(NAME) : null;
let identified; // the id of the socket that is known to be the person's
const shown = new Store({ me: null, pending: [] });

const outbox = new Outbox({
  store: new LayeredStore(),
  send: async (message) => {
    // What is sent before the socket is open waits in it, and would go out as whoever it turns out to belong to.
    if (!feedId() || feedId() !== identified) throw new Error("The connection is not known to be this person's.");
    return (await ask("post", message)).receipt;
  },
  lock,
  announce: (news) => tabs.postMessage(news),
  changed: () => {
    shown.set({ me: outbox.me, pending: outbox.pending() });
    warnWhereNeeded();
  },
  newId,
});

/** A page that holds what no disk has asks before it goes, and only then. */
const warn = (event) => event.preventDefault();
const warnWhereNeeded = () => {
  const change = outbox.entries.some((entry) => entry.volatile) ? "addEventListener" : "removeEventListener";
  window[change]("beforeunload", warn);
};

let me = null; // what the server said of the person last

/** Send what is kept, once it is known whose connection this is. */
const begin = () => me && identified === feedId() && outbox.connected(me);

let users = 0; // mounted components that need the connection

if (isBrowser) {
  addPart({
    wanted: () => users > 0,
    connected: begin,
    paused: () => outbox.paused(),
    events: {
      you: ({ person, tenant, name, max_post_bytes }) => {
        me = { person: `${tenant}/${person}`, name, max_post_bytes };
        identified = feedId();
        begin();
      },
    },
  });
  tabs.onmessage = ({ data }) => outbox.heard(data);
}

/**
 * Send something on a channel as the person who is signed in, from any event handler of a page. It is kept until it
 * is answered; what cannot be kept or is refused is shown as not sent.
 */
export const post = (channel, type, payload) => outbox.post(channel, type, payload);

/** As `post`; throws the problem of what cannot be kept. `payload` may be a function of the message's id. */
export const submit = (channel, type, payload) => outbox.submit(channel, type, payload);

export const retry = (id) => outbox.retry(id);
export const discard = (id) => outbox.discard(id);

/** Resolves once it is known whose messages these are. */
export const known = () => outbox.known();

/** `{me, pending}`: who sends, `{person, name, max_post_bytes}`, and their unsent messages on all channels. */
export const useOutbox = () => {
  useEffect(() => {
    users += 1;
    connectFeed();
    return () => {
      users -= 1;
    };
  }, []);
  useConnection(); // what is said of a message depends on how the connection stands
  return useStore(shown);
};

/** A channel's unsent messages, without those whose row is among `rows`. */
export const usePending = (channel, rows) => {
  const { pending } = useStore(shown);
  const mine = pending.filter((entry) => entry.channel === channel);
  const ids = mine.length ? new Set(rows.map(({ id }) => id)) : null;
  const arrived = mine.filter(({ id }) => ids.has(id)).map(({ id }) => id);
  useEffect(() => {
    if (arrived.length) outbox.arrived(arrived);
  }, [arrived.join()]);
  return mine.filter(({ id }) => !ids.has(id));
};
