/** The tab's feeds (`feed.js`): held while something shows them, and kept in step over connections. */
import { useEffect, useState } from "react";
import { Store, addPart, caughtUp, connectFeed, tell, useStore } from "./connection.js";
import { Feed } from "./feed.js";
import "./heartbeat.js"; // whoever watches a channel answers its heartbeats

const LINGER_MS = 3_000;

const feeds = new Map();

/**
 * Hold a feed; the result lets it go. A while after the last one let go, it unsubscribes: a state that is
 * hydrated anew (a reconnect does that) names no channel for a moment, and its rows must outlast it.
 */
export const holdFeed = (channel, rewind, state) => {
  let feed = feeds.get(channel);
  if (!feed) {
    feed = new Feed(channel, rewind, sayCaughtUp);
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
      feed.gone = true;
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
const NOTHING = new Feed("", 0).store;

/** What a feed's state is, for whoever shows it; holds nothing. */
export const useFeed = (channel) => {
  useStore(registry);
  return useStore(feeds.get(channel)?.store ?? NOTHING);
};

/**
 * The channel named, or the one named last while none has been for less than LINGER_MS, or while the state is
 * not hydrated: after a reconnect it names none until the page's `on_load` is done, which may wait for the database.
 */
export const useLingering = (channel, hydrated) => {
  const [shown, setShown] = useState(channel);
  useEffect(() => {
    if (channel) return setShown(channel);
    if (!hydrated) return undefined;
    const timer = setTimeout(() => setShown(""), LINGER_MS);
    return () => clearTimeout(timer);
  }, [channel, hydrated]);
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

/** A channel's fields, as the feed's store has them, while the component is there. */
export const useFields = (channel, rewind) => {
  const { fields, fields_known, fields_more, fields_error, error } = useHeldFeed(channel, rewind, "");
  useEffect(() => {
    const feed = feeds.get(channel);
    if (!feed) return;
    feed.wantsFields = true;
    feed.readFields();
  }, [channel]);
  return { fields, known: fields_known, more: fields_more, error: fields_error || error };
};
