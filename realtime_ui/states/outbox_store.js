/**
 * Where unsent messages are kept: IndexedDB, and memory for what it does not take (a private window, a full disk).
 *
 * An entry is `{id, owner, channel, type, payload, bytes, at, refused}`: `owner` is the person, `at` in ms since the
 * epoch, `refused` null or `{status, words}`. Entries keep the order in which they were added, over all tabs.
 */
const DATABASE = "realtime-ui";
const TABLE = "outbox";
const OPEN_MS = 3_000; // some browsers never answer in private windows

export const MAX_ENTRIES = 200;
export const MAX_BYTES = 2_000_000;

/** Why no further entry fits, or null. */
const full = (entries, further) => {
  const bytes = entries.reduce((sum, each) => sum + each.bytes, further.bytes);
  if (entries.length < MAX_ENTRIES && bytes <= MAX_BYTES) return null;
  return {
    detail: `${entries.length} unsent messages are kept in this browser, and no more fit.`,
    remedy: "Wait until they are sent, or discard some.",
    retryable: false,
  };
};

export class MemoryStore {
  constructor() {
    this.entries = new Map();
  }

  async all(owner) {
    return [...this.entries.values()].filter((each) => each.owner === owner);
  }

  async get(id) {
    return this.entries.get(id);
  }

  /** Add an entry; throws the problem where the person's bounds are reached. A refused one is shown in any case. */
  async add(entry) {
    const problem = entry.refused ? null : full(await this.all(entry.owner), entry);
    if (problem) throw problem;
    this.entries.set(entry.id, entry);
  }

  async change(id, change) {
    const entry = this.entries.get(id);
    if (!entry) return;
    if (change.id) this.entries.delete(id);
    this.entries.set(change.id ?? id, { ...entry, ...change });
  }

  async remove(id) {
    this.entries.delete(id);
  }
}

/** A request's result, as a promise. */
const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export class DiskStore {
  /** The open database; opened again after the browser closed it. */
  open() {
    this.database ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => {
        const table = request.result.createObjectStore(TABLE, { keyPath: "n", autoIncrement: true });
        table.createIndex("owner", "owner");
        table.createIndex("id", "id", { unique: true });
      };
      request.onsuccess = () => {
        request.result.onclose = () => (this.database = null);
        request.result.onversionchange = () => {
          request.result.close();
          this.database = null;
        };
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
      setTimeout(() => reject(new Error("IndexedDB does not answer.")), OPEN_MS);
    });
    return this.database;
  }

  /** Do something with the table in one transaction; resolves with its result once that is committed. */
  async within(mode, work) {
    const database = await this.open();
    const transaction = database.transaction(TABLE, mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new Error("The browser stored nothing."));
    });
    let value;
    try {
      value = await work(transaction.objectStore(TABLE));
    } catch (error) {
      done.catch(() => {}); // the same failure
      throw error;
    }
    await done;
    return value;
  }

  all(owner) {
    return this.within("readonly", (table) => result(table.index("owner").getAll(owner)));
  }

  get(id) {
    return this.within("readonly", (table) => result(table.index("id").get(id)));
  }

  /** Add an entry; throws the problem where the person's bounds are reached. */
  add(entry) {
    return this.within("readwrite", async (table) => {
      const problem = full(await result(table.index("owner").getAll(entry.owner)), entry);
      if (problem) throw problem;
      await result(table.add(entry));
    });
  }

  change(id, change) {
    return this.within("readwrite", async (table) => {
      const entry = await result(table.index("id").get(id));
      if (entry) await result(table.put({ ...entry, ...change }));
    });
  }

  remove(id) {
    return this.within("readwrite", async (table) => {
      const key = await result(table.index("id").getKey(id));
      if (key !== undefined) await result(table.delete(key));
    });
  }
}

/** The disk, and memory for what the disk does not take; such entries are `volatile`. */
export class LayeredStore {
  constructor(disk = new DiskStore(), memory = new MemoryStore()) {
    this.disk = disk;
    this.memory = memory;
  }

  /** The disk, or nothing where the browser gives none. A read that fails on a disk that was opened is an error. */
  usableDisk() {
    return this.disk.open().then(() => this.disk, () => null);
  }

  async all(owner) {
    const kept = (await (await this.usableDisk())?.all(owner)) ?? [];
    return [...kept, ...(await this.memory.all(owner))];
  }

  async get(id) {
    return (await this.memory.get(id)) ?? (await this.usableDisk())?.get(id);
  }

  async add(entry) {
    try {
      await this.disk.add(entry);
    } catch (problem) {
      if (problem.retryable === false) throw problem; // the person's bounds
      await this.addVolatile(entry);
    }
  }

  /** Keep an entry for as long as the page is open. */
  addVolatile(entry) {
    return this.memory.add({ ...entry, volatile: true });
  }

  async change(id, change) {
    await this.memory.change(id, change);
    await (await this.usableDisk())?.change(id, change);
  }

  async remove(id) {
    await this.memory.remove(id);
    await (await this.usableDisk())?.remove(id);
  }
}
