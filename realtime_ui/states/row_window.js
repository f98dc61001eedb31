/**
 * The rows that a list holds: a window on the channel's log, bounded whatever comes and however far somebody reads.
 *
 * While its end is the log's end, the window follows: new rows come in and the oldest go. While somebody reads further
 * up in a full window it stays where it is; `beyond` then says that the log goes on after the last row held.
 */
export const AT_END = 500; // rows held while the end of the list is in view
export const READING = 3_000; // while somebody reads further up
const EMPTY = { rows: [], beyond: false };

const endOf = (rows) => (rows.length ? rows[rows.length - 1].seq : 0);
const newestOf = (rows, count) => (rows.length > count ? rows.slice(rows.length - count) : rows);

/** With rows that came at the log's end. */
export const withLive = (window, fresh, pinned) => {
  if (fresh.length === 0 || window.beyond) return window;
  const rows = [...window.rows, ...fresh];
  if (pinned) return { rows: newestOf(rows, AT_END), beyond: false };
  return rows.length > READING ? { ...window, beyond: true } : { rows, beyond: false };
};

/** With the page of the log before the first row. */
export const withOlder = ({ rows, beyond }, page) => {
  const all = [...page, ...rows];
  return all.length > READING ? { rows: all.slice(0, READING), beyond: true } : { rows: all, beyond };
};

/** With the page of the log after the last row; the tab has heard of all rows up to `last`, and takes none beyond. */
export const withNewer = ({ rows }, page, last) => {
  const fresh = page.filter(({ seq }) => seq <= last);
  const missing = fresh.length ? fresh[0].seq - endOf(rows) - 1 : 0;
  const gap = rows.length && missing > 0 ? [{ gap: missing, seq: fresh[0].seq - 1 }] : [];
  const all = newestOf([...rows, ...gap, ...fresh], READING);
  return { rows: all, beyond: endOf(all) < last };
};

/** At the log's end, with its newest page in place of what was held. */
export const atEnd = (page, last) => withNewer(EMPTY, page, last);
