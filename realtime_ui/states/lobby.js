/** The lobby: the tenant's list of channels, live. */
import { useEffect } from "react";
import { RETRY_MS, Store, addPart, ask, connectFeed, feedId, useStore, wordsOf } from "./connection.js";

const lobby = {
  store: new Store({ rows: null, error: "" }),
  watchers: 0,

  async sync() {
    if (!this.watchers || !feedId()) return;
    try {
      const answer = await ask("lobby");
      this.store.set({ rows: answer.rows, error: "" });
    } catch (problem) {
      this.store.set({ error: wordsOf(problem) });
      setTimeout(() => this.sync(), RETRY_MS);
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
