/**
 * A person's unsent messages: kept before they are sent, sent in order on each channel, and forgotten only when the
 * server has answered. A message keeps its id over all tries, under which the server stores it once.
 */
import { Backoff } from "./backoff.js";

const SHOW_SENT_MS = 30_000; // how long a sent message waits for its row
const BY_ITSELF_MS = 24 * 3_600_000; // older messages are sent only when the person says so again

const SIGNED_OUT = 401;
const CONFLICT = 409;

const sizeOf = (payload) => new TextEncoder().encode(JSON.stringify(payload)).length;
const number = new Intl.NumberFormat("en");

/** What a problem says; nothing that is not one comes from the server. */
const wordsFor = ({ detail = "The server has not answered.", remedy }) => [detail, remedy].filter(Boolean).join(" ");

export class Outbox {
  /**
   * @param {object} parts what it stands on:
   *   store: keeps entries (outbox_store.js);
   *   send: (message) => promise of the receipt, rejected with a problem;
   *   lock: (name, work) => promise of work's end; one tab of the browser works under a name at a time;
   *   announce: (news) => void, tells the browser's other tabs;
   *   changed: () => void, is called when something that is shown changed;
   *   newId: () => a UUID.
   */
  constructor({ store, send, lock, announce, changed, newId }) {
    Object.assign(this, { store, send, lock, announce, changed, newId });
    this.me = null; // {person, name, max_post_bytes} of the connection, last known
    this.open = false; // the connection stands, and is that person's
    this.entries = []; // unsent
    this.sent = new Map(); // id → entry, answered, its row not yet seen
    this.lanes = new Map(); // channel → {running, again, waiting, trouble, backoff}
    this.waiting = []; // who waits until the person is known
    this.reloading = new Backoff(() => this.reload());
  }

  /** The connection stands, and is this person's. */
  async connected(me) {
    if (me.person !== this.me?.person) {
      this.entries = [];
      this.sent.clear();
      for (const lane of this.lanes.values()) lane.backoff.reset();
      this.lanes.clear();
    }
    this.me = me;
    this.open = true;
    for (const lane of this.lanes.values()) {
      lane.backoff.reset();
      Object.assign(lane, { waiting: false, trouble: "" });
    }
    this.waiting.splice(0).forEach((resolve) => resolve(me));
    this.changed();
    await this.reload();
  }

  /** The connection is lost. */
  paused() {
    this.open = false;
  }

  /** Resolves with `me` once it is known who the person is. */
  async known() {
    return this.me ?? new Promise((resolve) => this.waiting.push(resolve));
  }

  /**
   * Keep a message and send it. Resolves with its id when it is kept; throws the problem where it cannot be.
   * `payload` is an object, or a function that makes one of the id.
   */
  async submit(channel, type, payload) {
    return this.keep(await this.entryOf(channel, type, payload));
  }

  /** As `submit`; a message that cannot be kept is shown as not sent, for as long as the page is open. */
  async post(channel, type, payload) {
    const entry = await this.entryOf(channel, type, payload);
    try {
      return await this.keep(entry);
    } catch (problem) {
      const refused = { status: problem.status ?? 0, words: wordsFor(problem) };
      await this.store.addVolatile({ ...entry, bytes: 0, refused });
      await this.reload();
      return null;
    }
  }

  /** A new entry, once it is known whose it is. */
  async entryOf(channel, type, payload) {
    const { person: owner } = this.me ?? (await this.known()); // at once where it is known: the next one is another's
    const id = this.newId();
    const data = typeof payload === "function" ? payload(id) : payload;
    return { id, owner, channel, type, payload: data, bytes: sizeOf(data), at: Date.now(), refused: null };
  }

  async keep(entry) {
    this.check(entry);
    await this.store.add(entry);
    this.announce({ owner: entry.owner });
    if (entry.owner === this.me.person) {
      this.entries = [...this.entries, entry];
      this.changed();
      this.reload();
    }
    return entry.id;
  }

  check({ channel, bytes }) {
    if (!channel) throw { detail: "The page has no channel open.", retryable: false };
    const { max_post_bytes: most } = this.me;
    if (bytes <= most) return;
    throw {
      detail: `The message is ${number.format(bytes)} bytes; ${number.format(most)} is the limit.`,
      remedy: "Shorten it, or send it in parts.",
      retryable: false,
    };
  }

  /** Read what is kept, and send what can be sent. */
  async reload() {
    const owner = this.me?.person;
    if (!owner) return;
    try {
      await this.reread(owner);
    } catch {
      this.reloading.later(); // the browser's storage failed; what is shown stays
      return;
    }
    this.reloading.reset();
    const unsent = this.entries.filter((each) => !each.refused);
    for (const channel of new Set(unsent.map((each) => each.channel))) this.run(channel);
  }

  /** Read what is kept; nothing of it is shown where another person is here by then. */
  async reread(owner) {
    const entries = await this.store.all(owner);
    if (owner !== this.me.person) return;
    this.entries = entries;
    this.changed();
  }

  /** Another tab of the browser changed something. */
  async heard({ owner, sent }) {
    if (owner !== this.me?.person) return;
    const entry = sent && this.entries.find(({ id }) => id === sent);
    if (entry) this.awaitRow(entry);
    await this.reload();
  }

  lane(channel) {
    let lane = this.lanes.get(channel);
    if (!lane) {
      lane = { running: false, again: false, waiting: false, trouble: "" };
      lane.backoff = new Backoff(() => {
        lane.waiting = false;
        this.run(channel);
      });
      this.lanes.set(channel, lane);
    }
    return lane;
  }

  /** Send a channel's messages, the oldest first. */
  async run(channel) {
    const { person: owner } = this.me;
    const lane = this.lane(channel);
    lane.again = lane.running;
    if (lane.running || lane.waiting || !this.open) return;
    lane.running = true;
    try {
      await this.lock(`${owner} ${channel}`, async () => {
        await this.reread(owner); // other tabs may have sent some, and kept others
        while (await this.sendNext(owner, channel, lane));
      });
    } catch (error) {
      this.later(lane, error); // the browser's storage failed
    } finally {
      lane.running = false;
      if (lane.again && this.lanes.get(channel) === lane) this.run(channel);
    }
  }

  /** Send the oldest message; whether another one may follow. */
  async sendNext(owner, channel, lane) {
    const entry = this.entries.find((each) => each.channel === channel && !each.refused);
    if (!entry || !this.open || this.me.person !== owner) return false;
    if (!(await this.store.get(entry.id))) {
      this.entries = this.entries.filter((each) => each !== entry);
      return true;
    }
    if (Date.now() - entry.at > BY_ITSELF_MS) {
      await this.refuse(entry, { words: "It was written more than a day ago, and is sent only if you say so." });
      return true;
    }
    // No await between this check and the send: what waits could go out on another person's connection.
    if (!this.open || this.me.person !== owner) return false;
    try {
      const { id, type, payload } = entry;
      const receipt = await this.send({ id, channel, type, payload });
      lane.backoff.reset();
      lane.trouble = "";
      if (receipt.channels.some(({ seq }) => seq !== null)) this.awaitRow(entry);
      await this.forget(entry, { sent: entry.id });
      return true;
    } catch (problem) {
      if (problem.retryable === false && problem.status !== SIGNED_OUT) {
        await this.refuse(entry, problem);
        return true;
      }
      this.later(lane, problem);
      return false;
    }
  }

  /** Try a channel again after a while, or when the connection comes back. */
  later(lane, problem) {
    Object.assign(lane, { waiting: true, trouble: wordsFor(problem) });
    lane.backoff.later();
    this.changed();
  }

  async refuse(entry, problem) {
    const refused = { status: problem.status ?? 0, words: problem.words ?? wordsFor(problem) };
    await this.store.change(entry.id, { refused });
    this.entries = this.entries.map((each) => (each === entry ? { ...each, refused } : each));
    this.announce({ owner: entry.owner });
    this.changed();
  }

  /** Show a sent message until its row is there. */
  awaitRow(entry) {
    this.sent.set(entry.id, entry);
    setTimeout(() => this.sent.delete(entry.id) && this.changed(), SHOW_SENT_MS);
  }

  async forget({ id, owner }, news = {}) {
    await this.store.remove(id);
    this.entries = this.entries.filter((each) => each.id !== id);
    this.announce({ owner, ...news });
    this.changed();
  }

  /** Rows with these ids are in the log. */
  arrived(ids) {
    for (const id of ids) {
      const unanswered = this.entries.find((each) => each.id === id);
      if (this.sent.delete(id)) this.changed();
      if (unanswered) this.forget(unanswered);
    }
  }

  /** Send a refused message again; under another id where its own belongs to another message. */
  async retry(id) {
    const entry = this.entries.find((each) => each.id === id);
    if (!entry) return;
    const fresh = entry.refused?.status === CONFLICT ? { id: this.newId() } : {};
    await this.store.change(id, { ...fresh, refused: null, at: Date.now() });
    this.announce({ owner: entry.owner });
    await this.reload();
  }

  /** Give a message up. */
  async discard(id) {
    const entry = this.entries.find((each) => each.id === id);
    if (entry) await this.forget(entry);
  }

  /** What is shown: unsent messages, and sent ones without a row, in order; `trouble` says why one waits. */
  pending() {
    const sent = [...this.sent.values()]
      .filter(({ id }) => !this.entries.some((each) => each.id === id))
      .map((each) => ({ ...each, answered: true, trouble: "" }));
    const unsent = this.entries.map((each) => ({ ...each, trouble: this.lanes.get(each.channel)?.trouble ?? "" }));
    return [...sent, ...unsent];
  }
}
