/** The lobby: the tenant's list of channels, live, page by page, and the search in all of them. */
import { useEffect } from "react";
import { Backoff } from "./backoff.js";
import { Store, addPart, ask, connectFeed, feedId, useStore, wordsOf } from "./connection.js";

const KEEP_ROWS = 1_000;
const TYPED_MS = 150; // a search begins when nobody has typed for so long

const byMoment = (a, b) => b.moment - a.moment || (a.channel < b.channel ? 1 : -1);

/** Rows with some further ones, or with changes of those that are there; each channel once, the latest first. */
const merged = (rows, further) => {
  const all = new Map(rows.map((row) => [row.channel, row]));
  for (const row of further) {
    const known = all.get(row.channel);
    if (known || row.moment !== undefined) all.set(row.channel, { ...known, ...row }); // a part of an unknown row says nothing
  }
  return [...all.values()].sort(byMoment);
};

const lobby = {
  store: new Store({ rows: null, error: "", more: false, full: false, loading: false }),
  watchers: 0,
  end: null, // where the next page begins
  asked: 0, // counts requests for the list, so that an answer to an earlier one is known
  retry: new Backoff(() => lobby.sync()),
  retryMore: new Backoff(() => lobby.readMore()),

  /** Get the list as it is now, as far as it has been loaded. */
  async sync() {
    if (!this.watchers || !feedId()) return;
    const asked = (this.asked += 1);
    this.retryMore.reset();
    const wanted = this.store.value.rows?.length ?? 0;
    try {
      let rows = [];
      let end = null;
      do {
        const answer = await ask("lobby", end ? { below: end } : {});
        if (asked !== this.asked) return;
        rows = merged(rows, answer.rows);
        end = answer.end;
      } while (end && rows.length < wanted);
      this.retry.reset();
      this.show(rows, end);
    } catch (problem) {
      if (asked !== this.asked) return;
      this.store.set({ error: wordsOf(problem), loading: false });
      if (problem.retryable ?? true) this.retry.later();
    }
  },

  /** Get the next page, unless it is being asked for, or waits to be asked for again. */
  more() {
    if (!this.store.value.more || this.store.value.loading) return;
    this.store.set({ loading: true });
    this.readMore();
  },

  async readMore() {
    if (!this.watchers || !feedId()) return; // `sync` begins anew
    const { asked } = this;
    try {
      const answer = await ask("lobby", { below: this.end });
      if (asked !== this.asked) return;
      this.retryMore.reset();
      this.show(merged(this.store.value.rows, answer.rows), answer.end);
    } catch (problem) {
      if (asked !== this.asked) return;
      const retryable = problem.retryable ?? true;
      this.store.set({ error: wordsOf(problem), more: retryable });
      if (retryable) this.retryMore.later();
    }
  },

  show(rows, end) {
    this.end = end;
    const full = rows.length >= KEEP_ROWS && end !== null;
    this.store.set({ rows: rows.slice(0, KEEP_ROWS), more: end !== null && !full, full, error: "", loading: false });
  },

  /** Changed rows move to where they now belong, so that the list stays as the server would give it. */
  merge(changed) {
    const { rows } = this.store.value;
    if (rows === null) return;
    const shown = new Set(rows.map((row) => row.channel));
    const loaded = (row) => !this.end || shown.has(row.channel) || row.moment >= Math.floor(this.end[0] / 1_000);
    const all = merged(rows, changed.filter(loaded)); // the others come with their page
    this.store.set({ rows: all.slice(0, KEEP_ROWS), full: this.store.value.full || all.length > KEEP_ROWS });
  },
};

/** What was searched for last; the rows that were found stay where they are, and change where they stand. */
const search = {
  store: new Store({ query: "", found: null, of: "", more: false, error: "" }),
  timer: null,
  retry: new Backoff(() => search.run()),

  type(query) {
    clearTimeout(this.timer);
    this.retry.reset();
    this.store.set({ query, error: "" });
    if (query.trim()) this.timer = setTimeout(() => this.run(), TYPED_MS);
    else this.store.set({ found: null, of: "", more: false });
  },

  async run() {
    const query = this.store.value.query.trim();
    if (!query || !feedId()) return;
    try {
      const { rows, more } = await ask("search", { query });
      if (query !== this.store.value.query.trim()) return;
      this.retry.reset();
      this.store.set({ found: rows, of: query, more, error: "" });
    } catch (problem) {
      if (query !== this.store.value.query.trim()) return;
      this.store.set({ error: wordsOf(problem) });
      if (problem.retryable ?? true) this.retry.later();
    }
  },

  merge(changed) {
    const { found } = this.store.value;
    if (found === null) return;
    const news = new Map(changed.map((row) => [row.channel, row]));
    this.store.set({ found: found.map((row) => (news.has(row.channel) ? { ...row, ...news.get(row.channel) } : row)) });
  },
};

addPart({
  wanted: () => lobby.watchers > 0,
  connected: () => {
    lobby.sync();
    search.run();
  },
  paused: () => {},
  events: {
    lobby: (rows) => {
      lobby.merge(rows);
      search.merge(rows);
    },
    titles: (titles) => {
      const rows = Object.entries(titles).map(([channel, title]) => ({ channel, title }));
      lobby.merge(rows);
      search.merge(rows);
    },
  },
});

/** The list: its rows, whether `more` can be loaded, whether it is `full`; and `loadMore`. */
export const useLobby = () => {
  useEffect(() => {
    lobby.watchers += 1;
    connectFeed();
    lobby.sync();
    return () => {
      lobby.watchers -= 1;
      if (!lobby.watchers) search.type("");
    };
  }, []);
  return { ...useStore(lobby.store), loadMore: () => lobby.more() };
};

/** The search: the `query` as typed, the rows `found` and what they were found for (`of`); and `search` to type. */
export const useSearch = () => ({ ...useStore(search.store), search: (query) => search.type(query) });
