/** The lobby: the tenant's list of channels, live. */
import { useEffect } from "react";
import { Backoff } from "./backoff.js";
import { Store, addPart, ask, connectFeed, feedId, useStore, wordsOf } from "./connection.js";

const lobby = {
  store: new Store({ rows: null, error: "" }),
  watchers: 0,
  retry: new Backoff(() => lobby.sync()),

  async sync() {
    if (!this.watchers || !feedId()) return;
    try {
      const answer = await ask("lobby");
      this.retry.reset();
      this.store.set({ rows: answer.rows, error: "" });
    } catch (problem) {
      this.store.set({ error: wordsOf(problem) });
      if (problem.retryable ?? true) this.retry.later();
    }
  },

  /** Rows change where they stand, so that the list holds still; new channels come on top. */
  merge(changed) {
    const news = new Map(changed.map((row) => [row.channel, row]));
    const rows = (this.store.value.rows ?? []).map((row) => {
      const fresh = news.get(row.channel);
      news.delete(row.channel);
      return fresh ?? row;
    });
    this.store.set({ rows: [...news.values(), ...rows] });
  },
};

addPart({
  wanted: () => lobby.watchers > 0,
  connected: () => lobby.sync(),
  paused: () => {},
  events: { lobby: (rows) => lobby.merge(rows) },
});

export const useLobby = () => {
  useEffect(() => {
    lobby.watchers += 1;
    connectFeed();
    lobby.sync();
    return () => {
      lobby.watchers -= 1;
    };
  }, []);
  return useStore(lobby.store);
};
