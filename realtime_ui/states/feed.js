/**
 * One feed: a channel's rows, kept in step with the log by seq.
 *
 * Frames that arrive while it catches up wait, what it has is dropped, a hole makes it subscribe again.
 */
import { fetchApi } from "./api.js";
import { Backoff } from "./backoff.js";
import { Store, ask, feedId, wordsOf } from "./connection.js";
import { DELTA, Drafts } from "./drafts.js";
import { noteFrame } from "./lateness.js";
import { AT_END, atEnd, withLive, withNewer, withOlder } from "./row_window.js";

const KEEP_FIELDS = 1_000; // as many as the server keeps
const KEEP_EPHEMERAL = 50;
const KEEP_WAITING_FRAMES = 500;

/** Fields with some further `[name, [value, seq]]`; of two values the one with the higher seq stands. */
const mergeFields = (fields, further) => {
  if (further.length === 0) return fields;
  const merged = { ...fields };
  for (const [name, each] of further) if (each[1] >= (merged[name]?.[1] ?? 0)) merged[name] = each;
  const all = Object.entries(merged);
  if (all.length <= KEEP_FIELDS) return merged;
  return Object.fromEntries(all.sort(([, a], [, b]) => b[1] - a[1]).slice(0, KEEP_FIELDS));
};

/** What some rows' `changes` say of fields. */
const changesOf = (rows) =>
  rows.flatMap(({ seq, data }) => {
    const changes = data?.changes;
    if (!changes || typeof changes !== "object" || Array.isArray(changes)) return [];
    return Object.entries(changes).map(([name, value]) => [name, [value, seq]]);
  });

export class Feed {
  /** `caughtUp` is called each time that it is in step with the log again. */
  constructor(channel, rewind, caughtUp) {
    this.channel = channel;
    this.rewind = rewind;
    this.caughtUp = caughtUp;
    this.gone = false; // nobody holds it any more
    this.states = new Set();
    this.users = 0;
    this.epoch = "";
    this.last = null; // the highest seq held; null before the first answer
    this.tag = ""; // tells the row at `last` from another with its number; the server's to read
    this.waiting = []; // frames that came while catching up
    this.overflowed = false;
    this.syncing = false;
    this.again = false;
    this.pinned = true; // the end of the list is in view
    this.missed = 0; // rows that came since it last lost step with the server
    this.drafts = new Drafts((drafts) => this.store.set({ drafts }));
    this.wantsFields = false;
    this.since = null; // all rows after this seq have passed through here; null before the first answer
    this.retry = new Backoff(() => this.users && this.sync());
    this.retryFields = new Backoff(() => this.users && this.readFields());
    this.store = new Store({
      status: "initialized",
      error: "",
      last_seq: 0,
      first: 1,
      head: 0,
      kept_days: null, // for how long the log keeps messages; null for ever
      rows: [], // messages, and {gap: count, seq} where the log no longer has some; see row_window.js
      beyond: false, // the log goes on after them
      fields: {}, // {name: [value, seq]}, or [text, seq, bytes] for a value of which the log keeps no more here
      fields_known: false, // they are all of the log's; before, the rows alone tell of what they changed
      fields_more: false, // there are more than are kept
      fields_error: "",
      drafts: [], // messages that are being written
      ephemeral: [], // the last other ephemeral messages
      loading: false,
      restored: false, // rows were replaced since the log went back to an earlier state
      older_error: "", // why older messages could not be loaded
      newer_error: "", // why those after the rows could not
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
        if (this.gone) return; // let go meanwhile
        const waiting = this.waiting;
        this.waiting = [];
        for (const frame of waiting) if (!this.accept(frame)) this.again = true;
      } while (this.again || this.overflowed);
      this.retry.reset();
      this.store.set({ status: "attached", error: "" });
      this.caughtUp();
      this.readFields();
    } catch (problem) {
      this.waiting = [];
      const { retryable = true } = problem;
      this.store.set({ status: retryable ? "suspended" : "failed", error: wordsOf(problem) });
      if (retryable) this.retry.later();
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
      tag: this.tag,
      rewind: this.rewind,
      states: [...this.states],
    });
    let window = this.window();
    if (answer.reset) {
      window = { rows: [], beyond: false };
      this.drafts.clear();
      this.since = null;
      this.store.set({ fields: {}, fields_more: false, restored: true });
    } else if (this.last !== null && answer.after > this.last) {
      this.since = null;
      window = withLive(window, [{ gap: answer.after - this.last, seq: answer.after }], this.pinned);
    }
    if (this.last !== null) this.missed += answer.rows.length;
    this.epoch = answer.epoch;
    this.last = answer.after;
    if (this.since === null) {
      this.since = answer.after;
      this.store.set({ fields_known: this.since === 0 }); // the rows alone tell all where they are all there ever were
    }
    this.store.set({ first: answer.first, head: answer.head, kept_days: answer.kept_days });
    this.append(window, answer.rows, answer.tag);
    return answer.more && !this.gone;
  }

  receive(frame) {
    noteFrame(frame.at);
    if (frame.ephemeral) this.takeEphemeral(frame.ephemeral);
    if (this.syncing) {
      if (this.waiting.length < KEEP_WAITING_FRAMES) this.waiting.push(frame);
      else this.overflowed = true;
    } else if (!this.accept(frame)) this.sync();
  }

  takeEphemeral(messages) {
    this.drafts.take(messages);
    const others = messages.filter(({ type }) => !type.endsWith(DELTA));
    if (others.length === 0) return;
    this.store.set({ ephemeral: [...this.store.value.ephemeral, ...others].slice(-KEEP_EPHEMERAL) });
  }

  /** Take a frame's new rows; false when it does not follow on what is held. */
  accept(frame) {
    if (frame.rows.length === 0 && !frame.ephemeral) return false; // another epoch began, wherever we stand in it
    const first = frame.rows[0];
    if (frame.epoch !== this.epoch) {
      if (this.epoch !== "" || this.last !== 0 || first?.seq !== 1) return false;
      this.epoch = frame.epoch; // the channel's first event
    }
    const fresh = frame.rows.filter((row) => row.seq > this.last);
    if (fresh.length === 0) return true;
    if (fresh.some((row, index) => row.seq !== this.last + 1 + index)) return false;
    this.append(this.window(), fresh, frame.tag);
    return true;
  }

  window() {
    const { rows, beyond } = this.store.value;
    return { rows, beyond };
  }

  /** Take rows at the log's end into a window; `tag` is that of the last row then. */
  append(window, fresh, tag) {
    if (fresh.length) this.last = fresh[fresh.length - 1].seq;
    this.tag = tag ?? "";
    const { head, fields } = this.store.value;
    this.drafts.finish(fresh);
    this.store.set({
      fields: mergeFields(fields, changesOf(fresh)),
      ...withLive(window, fresh, this.pinned),
      last_seq: this.last ?? 0,
      head: Math.max(head, this.last ?? 0),
    });
  }

  /**
   * Get the fields as all of the log left them, where somebody wants them; rows that came meanwhile go by seq.
   * While the server still reads a long log, its answer is of an earlier seq than these rows: ask again.
   */
  async readFields() {
    if (!this.wantsFields || this.since === null || this.store.value.fields_known || !feedId()) return;
    try {
      const { epoch, seq, fields, more } = await ask("fields", { channel: this.channel });
      if (epoch !== this.epoch) return this.retryFields.later();
      const known = seq >= this.since;
      if (known) this.retryFields.reset();
      else this.retryFields.later();
      this.store.set({
        fields: mergeFields(this.store.value.fields, Object.entries(fields)),
        fields_known: known,
        fields_more: more,
        fields_error: "",
      });
    } catch (problem) {
      if (problem.retryable ?? true) this.retryFields.later();
      this.store.set({ fields_error: wordsOf(problem) });
    }
    return undefined;
  }

  /** Put the rows next below the oldest one shown before it. */
  loadOlder(limit = 100) {
    const [oldest] = this.store.value.rows;
    if (!oldest) return undefined;
    const before = oldest.gap ? oldest.seq - oldest.gap + 1 : oldest.seq;
    return this.load(`before=${before}&limit=${limit}`, (messages) => withOlder(this.window(), messages), "older_error");
  }

  /** Where the log goes on after the rows shown, show the next ones after them. */
  loadNewer(limit = 200) {
    const { rows, beyond } = this.store.value;
    if (!beyond) return undefined;
    const after = rows[rows.length - 1].seq;
    return this.load(`after=${after}&limit=${limit}`, (messages) => withNewer(this.window(), messages, this.last));
  }

  /** Show the log's end in place of the rows shown. */
  async loadNewest() {
    await this.load(`limit=${AT_END}`, (messages) => atEnd(messages, this.last));
    while (this.store.value.beyond && (await this.loadNewer())); // rows that came meanwhile
  }

  /** Read a page of the log; `merge` makes a window of its messages and of what is held then. Whether it joined on. */
  async load(query, merge, errorField = "newer_error") {
    const { rows, loading } = this.store.value;
    if (loading) return false;
    this.store.set({ loading: true, [errorField]: "" });
    try {
      const page = await fetchApi(`/api/channels/${encodeURIComponent(this.channel)}/history?${query}`);
      if (!Array.isArray(page.messages)) throw new Error("The server's answer cannot be read. Try again.");
      if (page.epoch !== this.epoch || this.store.value.rows[0] !== rows[0]) return false; // they no longer join on
      this.store.set({ ...merge(page.messages), first: page.first, kept_days: page.kept_days });
      return true;
    } catch (error) {
      this.store.set({ [errorField]: error.message });
      return false;
    } finally {
      this.store.set({ loading: false });
    }
  }

  /** The reader has seen that rows were replaced. */
  acknowledgeRestored() {
    this.store.set({ restored: false });
  }

  pause() {
    this.store.set({ status: "suspended" });
  }
}
