/**
 * Messages that are still being written: chunks `{messageId, index, text}` of types that end in `.delta`,
 * put together by index, until the final message with the same messageId takes their place.
 *
 * Chunks are ephemeral: any can be lost, doubled, or come after the final message.
 */
export const DELTA = ".delta";
const FORGET_MS = 30_000; // after the last chunk of a message that never came
const KEEP_FINAL = 500;
const MAX_CHUNKS = 10_000;

export class Drafts {
  /** @param {(drafts: object[]) => void} changed is given the drafts as rows whenever they change. */
  constructor(changed) {
    this.changed = changed;
    this.open = new Map(); // messageId → {type, data, chunks, timestamp, timer}
    this.final = new Set();
  }

  /** Take ephemeral messages. */
  take(messages) {
    let touched = false;
    for (const { type, data, timestamp } of messages) {
      const { messageId, index, text = "" } = data ?? {};
      if (!type.endsWith(DELTA) || this.final.has(messageId)) continue;
      if (!Number.isInteger(index) || index < 0 || index >= MAX_CHUNKS) continue;
      let draft = this.open.get(messageId);
      if (!draft) {
        draft = { type: type.slice(0, -DELTA.length), data, chunks: [], timestamp };
        this.open.set(messageId, draft);
      }
      draft.chunks[index] ??= String(text);
      clearTimeout(draft.timer);
      draft.timer = setTimeout(() => this.close(messageId), FORGET_MS);
      touched = true;
    }
    if (touched) this.announce();
  }

  /** The channel's rows, as they come: a final message ends its draft. */
  finish(rows) {
    for (const { type, data } of rows) {
      const messageId = data?.messageId;
      if (messageId === undefined || type.endsWith(DELTA)) continue;
      this.final.add(messageId);
      if (this.final.size > KEEP_FINAL) this.final.delete(this.final.values().next().value);
      this.close(messageId);
    }
  }

  /** End every draft. */
  clear() {
    for (const messageId of [...this.open.keys()]) this.close(messageId);
  }

  close(messageId) {
    const draft = this.open.get(messageId);
    if (!draft) return;
    clearTimeout(draft.timer);
    this.open.delete(messageId);
    this.announce();
  }

  announce() {
    this.changed(
      [...this.open].map(([id, { type, data, chunks, timestamp }]) => ({
        id,
        type,
        timestamp,
        data: { ...data, text: joined(chunks) },
      })),
    );
  }
}

/** The text so far; an ellipsis stands for chunks that are missing. */
const joined = (chunks) => {
  let text = "";
  for (let index = 0; index < chunks.length; index += 1) {
    if (chunks[index] !== undefined) text += chunks[index];
    else if (index === 0 || chunks[index - 1] !== undefined) text += "…";
  }
  return text;
};
