/** The outbox's queue without a browser: order, repeats, refusals, bounds, and whose messages they are. */
import { expect, setSystemTime, test } from "bun:test";
import { Outbox } from "../../../realtime_ui/states/outbox_queue.js";
import { LayeredStore, MAX_ENTRIES, MemoryStore } from "../../../realtime_ui/states/outbox_store.js";

const ADA = { person: "t/ada", name: "Ada", max_post_bytes: 1_000 };
const MAX = { person: "t/max", name: "Max", max_post_bytes: 1_000 };
const RECEIPT = { channels: [{ channel: "session:s", seq: 1 }] };
const AWAY = { status: 503, detail: "The database is away.", retryable: true };
const REFUSED = { status: 403, detail: "You may not.", retryable: false };

/** A browser's disk, which all of its tabs share. */
class Disk extends MemoryStore {
  async open() {}
}

/** A tab: an outbox, what it sent, and how the server answers. */
const tab = (disk = new Disk(), others = new Set()) => {
  const sent = [];
  const self = { sent, answer: async () => RECEIPT, shown: () => self.outbox.pending().map(({ payload }) => payload.text) };
  self.outbox = new Outbox({
    store: new LayeredStore(disk),
    send: async (message) => {
      sent.push(message);
      return self.answer(message);
    },
    lock: (name, work) => work(),
    announce: (news) => others.forEach((other) => other !== self && other.outbox.heard(news)),
    changed: () => {},
    newId: () => crypto.randomUUID(),
  });
  others.add(self);
  return self;
};

const until = async (condition) => {
  for (const end = performance.now() + 60_000; !condition(); ) {
    if (performance.now() > end) throw new Error(`still not: ${condition}`);
    await Bun.sleep(1);
  }
};

const texts = (messages) => messages.map(({ payload }) => payload.text);
const say = (each, text, channel = "session:s") => each.outbox.submit(channel, "session.message", { text });

test("a message is kept before it is sent, and forgotten when it is answered", async () => {
  const disk = new Disk();
  const ada = tab(disk);
  let kept;
  ada.answer = async ({ id }) => {
    kept = await disk.get(id);
    return RECEIPT;
  };
  await ada.outbox.connected(ADA);
  const id = await say(ada, "one");
  await until(() => disk.entries.size === 0);
  expect(kept.payload).toEqual({ text: "one" });
  expect(ada.outbox.pending()).toMatchObject([{ id, answered: true }]);
  ada.outbox.arrived([id]);
  expect(ada.shown()).toEqual([]);
});

test("what is submitted before the person is known waits until they are", async () => {
  const ada = tab();
  const submitted = say(ada, "early");
  expect(ada.shown()).toEqual([]);
  await ada.outbox.connected(ADA);
  await submitted;
  await until(() => ada.sent.length === 1);
});

test("messages of a channel go out in order, each after the answer to the one before", async () => {
  const ada = tab();
  let open = 0;
  ada.answer = async () => {
    open += 1;
    expect(open).toBe(1);
    await Bun.sleep(1);
    open -= 1;
    return RECEIPT;
  };
  await ada.outbox.connected(ADA);
  const wanted = Array.from({ length: 20 }, (_, n) => `m${n}`);
  for (const text of wanted) await say(ada, text);
  await until(() => ada.sent.length === 20);
  expect(texts(ada.sent)).toEqual(wanted);
});

test("a message without an answer is sent again under its id, and the next one waits for it", async () => {
  const ada = tab();
  ada.answer = async () => {
    ada.answer = async () => RECEIPT;
    throw AWAY;
  };
  await ada.outbox.connected(ADA);
  const first = await say(ada, "one");
  const second = await say(ada, "two");
  await until(() => ada.sent.length === 3);
  expect(ada.sent.map(({ id }) => id)).toEqual([first, first, second]);
});

test("while it is tried again, a message says why; a new connection tries at once", async () => {
  const ada = tab();
  ada.answer = async () => Promise.reject(AWAY);
  await ada.outbox.connected(ADA);
  await say(ada, "one");
  await until(() => ada.outbox.pending()[0].trouble);
  expect(ada.outbox.pending()).toMatchObject([{ trouble: "The database is away.", refused: null }]);
  ada.outbox.lane("session:s").backoff.tries = 20; // half a minute until it would be tried again
  const before = ada.sent.length;
  ada.answer = async () => RECEIPT;
  ada.outbox.paused();
  await ada.outbox.connected(ADA);
  await until(() => ada.sent.length === before + 1);
});

test("a refused message stays with the reason, and those after it go out", async () => {
  const disk = new Disk();
  const ada = tab(disk);
  ada.answer = async ({ payload }) => (payload.text === "bad" ? Promise.reject(REFUSED) : RECEIPT);
  await ada.outbox.connected(ADA);
  const id = await say(ada, "bad");
  await say(ada, "good");
  await until(() => ada.sent.length === 2 && disk.entries.size === 1);
  expect(await disk.get(id)).toMatchObject({ refused: { status: 403, words: "You may not." } });
  const reloaded = tab(disk);
  await reloaded.outbox.connected(ADA);
  expect(reloaded.shown()).toEqual(["bad"]);
  expect(reloaded.sent).toEqual([]);
  await reloaded.outbox.retry(id);
  await until(() => disk.entries.size === 0);
  expect(reloaded.sent[0].id).toBe(id);
});

test("a refused message can be discarded, in all tabs", async () => {
  const [disk, tabs] = [new Disk(), new Set()];
  const [one, two] = [tab(disk, tabs), tab(disk, tabs)];
  one.answer = two.answer = async () => Promise.reject(REFUSED);
  for (const each of tabs) await each.outbox.connected(ADA);
  const id = await say(one, "bad");
  await until(() => one.outbox.entries[0]?.refused && two.outbox.entries[0]?.refused);
  await two.outbox.discard(id);
  await until(() => one.shown().length === 0);
  expect(two.shown()).toEqual([]);
});

test("a conflict is tried again under another id", async () => {
  const ada = tab();
  const ids = [];
  ada.answer = async ({ id }) => (ids.push(id) === 1 ? Promise.reject({ ...REFUSED, status: 409 }) : RECEIPT);
  await ada.outbox.connected(ADA);
  const id = await say(ada, "one");
  await until(() => ada.outbox.entries[0]?.refused);
  await ada.outbox.retry(id);
  await until(() => ids.length === 2);
  expect(new Set(ids).size).toBe(2);
});

test("a session that ended keeps messages, which go out when the person is back", async () => {
  const disk = new Disk();
  const ada = tab(disk);
  ada.answer = async () => Promise.reject({ status: 401, detail: "The session has ended.", retryable: false });
  await ada.outbox.connected(ADA);
  await say(ada, "one");
  await until(() => ada.outbox.pending()[0].trouble);
  ada.outbox.paused();
  expect([...disk.entries.values()]).toMatchObject([{ refused: null }]);
  const later = tab(disk);
  await later.outbox.connected(ADA);
  await until(() => later.sent.length === 1 && disk.entries.size === 0);
});

test("another person in the same browser sees and sends none of it", async () => {
  const disk = new Disk();
  const first = tab(disk);
  await first.outbox.connected(ADA);
  first.outbox.paused();
  await say(first, "hers");
  await first.outbox.connected(MAX); // signed in in another tab of the browser
  expect(first.shown()).toEqual([]);
  const second = tab(disk);
  await second.outbox.connected(MAX);
  await say(second, "his");
  await until(() => second.sent.length === 1);
  expect(first.sent).toEqual([]);
  expect(texts(second.sent)).toEqual(["his"]);
  await first.outbox.connected(ADA);
  await until(() => first.sent.length === 1);
  expect(texts(first.sent)).toEqual(["hers"]);
});

test("what the storage answers for one person is not shown to the next", async () => {
  const disk = new Disk();
  const shared = tab(disk);
  await shared.outbox.connected(ADA);
  shared.outbox.paused();
  await say(shared, "hers");
  const held = Promise.withResolvers();
  const { all, add } = disk;
  disk.all = async (owner) => (owner === ADA.person && (await held.promise), all.call(disk, owner));
  disk.add = async (entry) => (await held.promise, add.call(disk, entry));
  const reading = shared.outbox.reload();
  const writing = say(shared, "hers, later");
  const next = shared.outbox.connected(MAX);
  held.resolve();
  await Promise.all([reading, writing, next]);
  expect(shared.shown()).toEqual([]);
  expect(shared.sent).toEqual([]);
  expect(disk.entries.size).toBe(2);
});

test("all tabs show a message, and one that lost its connection leaves it to the others", async () => {
  const [disk, tabs] = [new Disk(), new Set()];
  const [cut, fine] = [tab(disk, tabs), tab(disk, tabs)];
  for (const each of tabs) await each.outbox.connected(ADA);
  cut.outbox.paused();
  const id = await say(cut, "one");
  await until(() => fine.sent.length === 1 && disk.entries.size === 0);
  expect(fine.sent[0].id).toBe(id);
  expect(cut.sent).toEqual([]);
  expect([cut.shown(), fine.shown()]).toEqual([["one"], ["one"]]); // until the row is there
});

test("a row ends a message that was never answered", async () => {
  const disk = new Disk();
  const ada = tab(disk);
  await ada.outbox.connected(ADA);
  ada.outbox.paused();
  const id = await say(ada, "one");
  ada.outbox.arrived([id]);
  await until(() => disk.entries.size === 0);
  expect(ada.shown()).toEqual([]);
});

test("a message of the day before yesterday is sent only when the person says so", async () => {
  const disk = new Disk();
  const before = tab(disk);
  await before.outbox.connected(ADA);
  before.outbox.paused();
  const id = await say(before, "old");
  try {
    setSystemTime(new Date(Date.now() + 48 * 3_600_000));
    const ada = tab(disk);
    await ada.outbox.connected(ADA);
    await until(() => ada.outbox.entries[0]?.refused);
    expect(ada.sent).toEqual([]);
    await ada.outbox.retry(id);
    await until(() => ada.sent.length === 1);
  } finally {
    setSystemTime();
  }
});

test("bounds are said at once, and nothing that was typed is cut or lost", async () => {
  const ada = tab();
  await ada.outbox.connected(ADA);
  ada.outbox.paused();
  await expect(say(ada, "x".repeat(1_000))).rejects.toMatchObject({ detail: expect.stringContaining("1,011 bytes") });
  await expect(say(ada, "no channel", "")).rejects.toMatchObject({ retryable: false });
  for (let n = 0; n < MAX_ENTRIES; n += 1) await say(ada, "x");
  await expect(say(ada, "x")).rejects.toMatchObject({ detail: expect.stringContaining("no more fit") });
  for (let n = 0; n <= MAX_ENTRIES; n += 1) await ada.outbox.post("session:s", "session.message", { text: `handler ${n}` });
  expect(ada.outbox.pending()).toHaveLength(2 * MAX_ENTRIES + 1);
  expect(ada.outbox.pending().at(-1)).toMatchObject({
    payload: { text: `handler ${MAX_ENTRIES}` },
    refused: { words: expect.stringContaining("no more fit") },
  });
});

test("without a disk messages are kept in memory, and say so", async () => {
  class NoDisk extends MemoryStore {
    open = async () => Promise.reject(new Error("none in private windows"));
    add = this.open;
  }
  const ada = tab(new NoDisk());
  await ada.outbox.connected(ADA);
  ada.outbox.paused();
  await say(ada, "one");
  await until(() => ada.outbox.pending()[0]?.volatile);
  await ada.outbox.connected(ADA);
  await until(() => ada.sent.length === 1);
});
