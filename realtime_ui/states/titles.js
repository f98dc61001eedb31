/** Channels' titles, for whatever shows a channel: asked for in lists, and changed when somebody renames one. */
import { useEffect } from "react";
import { Backoff } from "./backoff.js";
import { Store, addPart, ask, connectFeed, feedId, useStore } from "./connection.js";

const AT_ONCE = 200;

const users = new Map(); // channel → how many components show it
const known = new Store({ titles: new Map() });

const learn = (titles) => {
  const all = new Map(known.value.titles);
  for (const [channel, title] of Object.entries(titles)) if (users.has(channel)) all.set(channel, title);
  known.set({ titles: all });
};

/** Ask for titles: of all channels that are shown, or of those alone whose titles are not known yet. */
const askFor = async (all) => {
  if (!feedId()) return;
  const channels = [...users.keys()].filter((channel) => all || !known.value.titles.has(channel));
  try {
    for (let start = 0; start < channels.length; start += AT_ONCE) {
      learn((await ask("titles", { channels: channels.slice(start, start + AT_ONCE) })).titles);
    }
    retry.reset();
  } catch (problem) {
    if (problem.retryable ?? true) retry.later();
  }
};

const retry = new Backoff(() => askFor(false));

addPart({
  wanted: () => users.size > 0,
  connected: () => askFor(true),
  paused: () => {},
  events: { titles: learn },
});

/** The titles of some channels, by channel; null for one without, nothing for one that is not known yet. */
export const useTitles = (channels) => {
  const names = [...new Set(channels)].filter(Boolean).sort().join(" ");
  useEffect(() => {
    const mine = names ? names.split(" ") : [];
    for (const channel of mine) users.set(channel, (users.get(channel) ?? 0) + 1);
    connectFeed();
    if (mine.some((channel) => !known.value.titles.has(channel))) askFor(false);
    return () => {
      const titles = new Map(known.value.titles);
      for (const channel of mine) {
        const left = users.get(channel) - 1;
        if (left) users.set(channel, left);
        else {
          users.delete(channel);
          titles.delete(channel); // what is not shown is not kept
        }
      }
      known.set({ titles });
    };
  }, [names]);
  return useStore(known).titles;
};
