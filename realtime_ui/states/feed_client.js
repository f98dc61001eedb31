/**
 * The tab's feeds: each holds a channel's rows and keeps them in step with the log by seq.
 *
 * Frames that arrive while a feed catches up wait, what it has is dropped, a hole makes it subscribe again.
 */
import { useEffect, useState } from "react";
import {
  RETRY_MS, Store, addPart, ask, caughtUp, connectFeed, feedId, fetchApi, tell, useStore, wordsOf,
} from "./connection.js";
import { Drafts } from "./drafts.js";

const KEEP_ROWS = 500; // in the list while its end is in view
const KEEP_ROWS_READING = 3_000; // while somebody reads further up
const LINGER_MS = 3_000;
const KEEP_WAITING_FRAMES = 500;

const feeds = new Map();

/** Fields after some more rows; of two values the one with the higher seq stands. */
export const foldChanges = (fields, rows) => {
  let folded = fields;
  for (const { seq, data } of rows) {
    const changes = data?.changes;
    if (!changes || typeof changes !== "object" || Array.isArray(changes)) continue;
    if (folded === fields) folded = { ...fields };
    for (const [name, value] of Object.entries(changes)) {
      if (seq >= (folded[name]?.[1] ?? 0)) folded[name] = [value, seq];
    }
  }
  return folded;
};

class Feed {
  constructor(channel, rewind) {
    this.channel = channel;
    this.rewind = rewind;
    this.states = new Set();
    this.users = 0;
    this.epoch = "";
    this.last = null; // the highest seq held; null before the first answer
    this.waiting = []; // frames that came while catching up
    this.overflowed = false;
    this.syncing = false;
    this.again = false;
    this.pinned = true; // the end of the list is in view
    this.missed = 0; // rows that came since it last lost step with the server
    this.drafts = new Drafts((drafts) => this.store.set({ drafts }));
    this.store = new Store({
      status: "initialized",
      error: "",
      last_seq: 0,
      first: 1,
      head: 0,
      rows: [], // messages, and {gap: count, seq} where the log no longer has some
      fields: {}, // {name: [value, seq]} as the `changes` of all rows so far left them, shown or not
      drafts: [], // messages that are being written
      loading: false,
    });
  }

  /** Ask for what is missing, page by page, until the head is reached; then let the waiting frames in. */
  async sync() {
    this.again = this.syncing;
    if (this.syncing || !feedId()) return;
    this.syncing = true;
    const socket = feedId();
    this.store.set({ status: "attaching" });
    try {
      do {
        this.again = this.overflowed = false;
        while (await this.page());
        if (feeds.get(this.channel) !== this) return; // let go meanwhile
        const waiting = this.waiting;
        this.waiting = [];
        for (const frame of waiting) if (!this.accept(frame)) this.again = true;
      } while (this.again || this.overflowed);
      this.store.set({ status: "attached", error: "" });
      sayCaughtUp();
    } catch (problem) {
      this.waiting = [];
      const { retryable = true } = problem;
      this.store.set({ status: retryable ? "suspended" : "failed", error: wordsOf(problem) });
      if (retryable) setTimeout(() => this.users && this.sync(), RETRY_MS);
    } finally {
      this.syncing = false;
      if (feedId() && socket !== feedId() && this.users) this.sync();
    }
  }

  async page() {
    const answer = await ask("sub", {
      channel: this.channel,
      last: this.last,
      epoch: this.epoch,
      rewind: this.rewind,
      states: [...this.states],
    });
    let { rows } = this.store.value;
    if (answer.reset) {
      rows = [];
      this.drafts.clear();
      this.store.set({ fields: {} });
    } else if (this.last !== null && answer.after > this.last) {
      rows = [...rows, { gap: answer.after - this.last, seq: answer.after }];
    }
    if (this.last !== null) this.missed += answer.rows.length;
    this.epoch = answer.epoch;
    this.last = answer.after;
    this.store.set({ first: answer.first, head: answer.head });
    this.append(rows, answer.rows);
    return answer.more && feeds.get(this.channel) === this;
  }

  receive(frame) {
    if (frame.ephemeral) this.drafts.take(frame.ephemeral);
    if (this.syncing) {
      if (this.waiting.length < KEEP_WAITING_FRAMES) this.waiting.push(frame);
      else this.overflowed = true;
    } else if (!this.accept(frame)) this.sync();
  }

  /** Take a frame's new rows; false when it does not follow on what is held. */
  accept(frame) {
    const first = frame.rows[0];
    if (frame.epoch !== this.epoch) {
      if (this.epoch !== "" || this.last !== 0 || first?.seq !== 1) return false;
      this.epoch = frame.epoch; // the channel's first event
    }
    const fresh = frame.rows.filter((row) => row.seq > this.last);
    if (fresh.length === 0) return true;
    if (fresh[0].seq !== this.last + 1) return false;
    this.append(this.store.value.rows, fresh);
    return true;
  }

  append(rows, fresh) {
    if (fresh.length) this.last = fresh[fresh.length - 1].seq;
    const all = fresh.length ? [...rows, ...fresh] : rows;
    const keep = this.pinned ? KEEP_ROWS : KEEP_ROWS_READING;
    const { head, fields } = this.store.value;
    this.drafts.finish(fresh);
    this.store.set({
      fields: foldChanges(fields, fresh),
      rows: all.length > keep ? all.slice(all.length - keep) : all,
      last_seq: this.last ?? 0,
      head: Math.max(head, this.last ?? 0),
    });
  }

  /** Put the rows next below the oldest one shown before it. */
  async loadOlder(limit = 100) {
    const { rows, loading } = this.store.value;
    if (loading || rows.length === 0) return;
    this.store.set({ loading: true });
    try {
      const before = rows[0].gap ? rows[0].seq - rows[0].gap + 1 : rows[0].seq;
      const path = `/api/channels/${encodeURIComponent(this.channel)}/history?before=${before}&limit=${limit}`;
      const page = await fetchApi(path);
      if (page.epoch !== this.epoch) return;
      this.store.set({ rows: [...page.messages, ...this.store.value.rows], first: page.first, error: "" });
    } catch (error) {
      this.store.set({ error: error.message });
    } finally {
      this.store.set({ loading: false });
    }
  }

  pause() {
    this.store.set({ status: "suspended" });
  }
}

/**
 * Hold a feed; the result lets it go. A while after the last one let go, it unsubscribes: a state that is
 * hydrated anew (a reconnect does that) names no channel for a moment, and its rows must outlast it.
 */
export const holdFeed = (channel, rewind, state) => {
  let feed = feeds.get(channel);
  if (!feed) {
    feed = new Feed(channel, rewind);
    feeds.set(channel, feed);
  }
  feed.users += 1;
  if (state) feed.states.add(state);
  connectFeed();
  feed.sync();
  announce();
  return () => {
    feed.users -= 1;
    setTimeout(() => {
      if (feed.users > 0 || feeds.get(channel) !== feed) return;
      feeds.delete(channel);
      tell("unsub", { channel });
      announce();
    }, LINGER_MS);
  };
};

/** Once all feeds are in step again, say how much they had missed. */
const sayCaughtUp = () => {
  const all = [...feeds.values()];
  if (all.some((feed) => !["attached", "failed"].includes(feed.store.value.status))) return;
  caughtUp(all.reduce((sum, feed) => sum + feed.missed, 0));
  for (const feed of all) feed.missed = 0;
};

addPart({
  wanted: () => feeds.size > 0,
  connected: () => feeds.forEach((feed) => feed.sync()),
  paused: () => feeds.forEach((feed) => feed.pause()),
  events: { frame: (frame) => feeds.get(frame.channel)?.receive(frame) },
});

export const feedOf = (channel) => feeds.get(channel);

// Components that only read a feed must hear when one appears or goes.
const registry = new Store({ version: 0 });
const announce = () => registry.set({ version: registry.value.version + 1 });
const NOTHING = new Store({ status: "initialized", error: "", last_seq: 0, first: 1, head: 0, rows: [], fields: {}, drafts: [], loading: false });

/** What a feed's state is, for whoever shows it; holds nothing. */
export const useFeed = (channel) => {
  useStore(registry);
  return useStore(feeds.get(channel)?.store ?? NOTHING);
};

/** The channel named, or the one named last while none has been for less than LINGER_MS. */
export const useLingering = (channel) => {
  const [shown, setShown] = useState(channel);
  useEffect(() => {
    if (channel) return setShown(channel);
    const timer = setTimeout(() => setShown(""), LINGER_MS);
    return () => clearTimeout(timer);
  }, [channel]);
  return channel || shown;
};

/** Hold a feed while the component is there. */
export const useHeldFeed = (channel, rewind, state) => {
  useEffect(
    () => (channel ? holdFeed(channel, rewind, state) : undefined),
    [channel, rewind, state],
  );
  return useFeed(channel);
};
