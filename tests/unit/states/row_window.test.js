/** The window of rows that a list holds, over every way of moving it. */
import { expect, test } from "bun:test";
import { AT_END, READING, atEnd, withLive, withNewer, withOlder } from "../../../realtime_ui/states/row_window.js";

const rows = (first, last) => Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => ({ seq: first + index }));
const span = ({ rows: held, beyond }) => [held[0]?.seq, held.at(-1)?.seq, held.length, beyond];

test("while the end is in view the newest rows are held", () => {
  const window = withLive({ rows: rows(1, AT_END), beyond: false }, rows(AT_END + 1, AT_END + 7), true);
  expect(span(window)).toEqual([8, AT_END + 7, AT_END, false]);
});

test("while somebody reads further up nothing above them goes, and a full window stays", () => {
  let window = { rows: rows(1, READING - 1), beyond: false };
  window = withLive(window, rows(READING, READING), false);
  expect(span(window)).toEqual([1, READING, READING, false]);
  window = withLive(window, rows(READING + 1, READING + 500), false);
  expect(span(window)).toEqual([1, READING, READING, true]);
  window = withLive(window, rows(READING + 501, READING + 502), true);
  expect(span(window)).toEqual([1, READING, READING, true]);
});

test("older rows push out those that are furthest below the reader", () => {
  const window = withOlder({ rows: rows(101, 100 + READING), beyond: false }, rows(1, 100));
  expect(span(window)).toEqual([1, READING, READING, true]);
  expect(span(withOlder({ rows: rows(101, 200), beyond: false }, rows(1, 100)))).toEqual([1, 200, 200, false]);
});

test("newer rows lead back to the end, page by page, and none comes twice", () => {
  const last = READING + 250;
  let window = { rows: rows(1, READING), beyond: true };
  window = withNewer(window, rows(READING + 1, READING + 200), last);
  expect(span(window)).toEqual([201, READING + 200, READING, true]);
  window = withNewer(window, rows(READING + 201, READING + 260), last); // the page is ahead of the frames
  expect(span(window)).toEqual([251, last, READING, false]);
  expect(withLive(window, rows(last + 1, last + 1), false).beyond).toBe(true);
});

test("what the log no longer has on the way is a gap", () => {
  const { rows: held } = withNewer({ rows: rows(1, 10), beyond: true }, rows(15, 20), 20);
  expect(held[10]).toEqual({ gap: 4, seq: 14 });
  expect(held.length).toBe(17);
});

test("at the end the newest page takes the place of what was held", () => {
  expect(span(atEnd(rows(901, 1_400), 1_400))).toEqual([901, 1_400, 500, false]);
  expect(span(atEnd(rows(901, 1_400), 1_450))).toEqual([901, 1_400, 500, true]);
  expect(span(atEnd([], 0))).toEqual([undefined, undefined, 0, false]);
});
