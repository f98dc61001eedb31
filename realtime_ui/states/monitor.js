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

/** The server's clock as this one has it: `server - skew` is a time here. */
const skewOf = (news) => news.now - Date.now();

const connections = new Page("connections", "connections", (before, news) => {
  const rows = new Map(before.rows ?? []);
  for (const id of news.gone) rows.delete(id);
  for (const row of news.rows) rows.set(row.id, row);
  return {
    rows,
    total: news.total,
    limit: news.limit,
    config: news.config,
    skew: skewOf(news),
    all: news.all ?? before.all,
    operator: news.operator ?? before.operator,
    history: news.history ?? before.history ?? [],
  };
});

const health = new Page("health", "workers", (before, news) => ({
  workers: news.workers,
  skew: skewOf(news),
  history: news.history ?? before.history ?? [],
}));

export const useConnections = connections.use;
export const useHealth = health.use;

/** Change a type's heartbeat; the problem where it is refused, else null. */
export const setHeartbeat = (type, interval_ms, timeout_ms) => refusal("set_heartbeat", { type, interval_ms, timeout_ms });

/** Close a connection; the problem where it is refused, else null. */
export const closeConnection = (connection) => refusal("close_connection", { connection });

const refusal = async (event, data) => {
  try {
    await ask(event, data);
    return null;
  } catch (problem) {
    const words = problem.detail ? wordsOf(problem) : "The server has not answered; try again.";
    return { words, field: problem.field };
  }
};
