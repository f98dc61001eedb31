/** The monitor: connections and workers, live, for whoever looks. */
import { useEffect } from "react";
import { Backoff } from "./backoff.js";
import { Store, addPart, ask, connectFeed, feedId, tell, useStore, wordsOf } from "./connection.js";

/** One page of the monitor: asked for in full when somebody looks or comes back, then told of changes. */
class Page {
  constructor(name, event, merge) {
    this.name = name;
    this.merge = merge;
    this.lookers = 0;
    this.store = new Store({ ready: false, error: "" });
    this.retry = new Backoff(() => this.sync());
    addPart({
      wanted: () => this.lookers > 0,
      connected: () => this.sync(),
      paused: () => {},
      events: { [event]: (news) => this.store.value.ready && this.store.set(merge(this.store.value, news)) },
    });
    this.use = () => {
      useEffect(() => {
        this.lookers += 1;
        connectFeed();
        this.sync();
        return () => {
          this.lookers -= 1;
          if (!this.lookers) tell("monitor", { page: name, look: false });
        };
      }, []);
      return useStore(this.store);
    };
  }

  async sync() {
    if (!this.lookers || !feedId()) return;
    try {
      const answer = await ask("monitor", { page: this.name, look: true });
      this.retry.reset();
      this.store.set({ ready: true, error: "", ...this.merge({}, answer) });
    } catch (problem) {
      this.store.set({ error: wordsOf(problem) });
      if (problem.retryable !== false) this.retry.later();
    }
  }
}

const connections = new Page("connections", "connections", (before, news) => {
  const rows = new Map(before.rows ?? []);
  for (const id of news.gone) rows.delete(id);
  for (const row of news.rows) rows.set(row.id, row);
  return {
    rows,
    total: news.total,
    limit: news.limit,
    config: news.config ?? before.config,
    all: news.all ?? before.all,
    operator: news.operator ?? before.operator,
    history: news.history ?? before.history ?? [],
  };
});

const health = new Page("health", "workers", (before, news) => ({
  workers: news.workers,
  history: news.history ?? before.history ?? [],
}));

export const useConnections = connections.use;
export const useHealth = health.use;

/** Change a type's heartbeat, and show what was saved; the problem where it is refused, else null. */
export const setHeartbeat = async (type, interval_ms, timeout_ms) => {
  try {
    const { saved } = await ask("set_heartbeat", { type, interval_ms, timeout_ms });
    const { store } = connections;
    store.set({ config: { ...store.value.config, [type]: saved } });
    return null;
  } catch (problem) {
    return refusalOf(problem);
  }
};

/** Close a connection; the problem where it is refused, else null. */
export const closeConnection = async (connection) => {
  try {
    await ask("close_connection", { connection });
    return null;
  } catch (problem) {
    return refusalOf(problem);
  }
};

const refusalOf = (problem) => ({
  words: problem.detail ? wordsOf(problem) : "The server has not answered; try again.",
  field: problem.field,
});
