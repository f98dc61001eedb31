/**
 * A channel's messages, live: rows appended by seq, a bounded list, older ones on demand.
 */
import "./realtime.css";
import { memo, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useConnection } from "$/public/external/realtime_ui/states/client_vars/connection.js";
import { feedOf, useHeldFeed, useLingering } from "$/public/external/realtime_ui/states/client_vars/feed_client.js";
import { usePending } from "$/public/external/realtime_ui/states/client_vars/outbox.js";
import { Clamped, Parts } from "./clamped.jsx";
import { HeldPlace } from "./held_place.jsx";
import { Pending } from "./pending.jsx";
import { sentence } from "./sentences.js";

const AT_END_PX = 24;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const number = new Intl.NumberFormat();

const size = (unit, unitDisplay = "short") => new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay, maximumFractionDigits: 1 });
const sizes = [size("byte", "long"), size("kilobyte"), size("megabyte")];
const bytesOf = (bytes) => {
  const power = bytes < 1e3 ? 0 : bytes < 1e6 ? 1 : 2;
  return sizes[power].format(bytes / 1e3 ** power);
};
const REASONS = { depth: "nested too deeply", size: "too large", number: "a number in it is too long" };

/** What stands for an event whose payload the server does not send. */
const unreadable = ({ bytes, reason }) => `This event can’t be shown: ${bytesOf(bytes)}, ${REASONS[reason] ?? "unreadable"}.`;

/**
 * Who emitted a row, where the payload is not to be taken at its word: a program or somebody outside wrote it, whatever
 * it says of its author, or a person in another one's name.
 */
const Emitter = ({ row: { emitted_by: by, data } }) => {
  const author = data?.author?.name;
  if (!by || by.kind === "app") return null;
  if (by.kind === "person" && (author === undefined || author === by.name)) return null;
  const words = { person: "sent by", key: "from the key", foreign: by.name ? "from outside, as" : "from outside" }[by.kind];
  return (
    <span className="rt-emitter" data-kind={by.kind} data-claims={author !== undefined || undefined}>
      {words ?? "from"} {by.name && <bdi>{by.name}</bdi>}
    </span>
  );
};

const Row = memo(function Row({ row, sentences }) {
  const [open, setOpen] = useState(false);
  const when = new Date(row.timestamp);
  return (
    <div className="rt-row" data-seq={row.seq} data-kind={row.type.split(".")[0]}>
      <time className="rt-time" dateTime={when.toISOString()} title={when.toLocaleString()}>
        {clock.format(when)}
      </time>
      <div className="rt-said">
        {row.unreadable ? (
          <span className="rt-sentence rt-unreadable">{unreadable(row.unreadable)}</span>
        ) : (
          <span className="rt-sentence">
            <Clamped parts={sentence(row, sentences)} />
          </span>
        )}
        <Emitter row={row} />
        <code className="rt-type">{row.type}</code>
      </div>
      <button
        type="button"
        className="rt-raw-button"
        aria-expanded={open}
        aria-label={`Raw event ${row.seq}`}
        title="Show the raw event"
        onClick={() => setOpen(!open)}
      >
        {"{ }"}
      </button>
      {open && (
        <pre className="rt-raw" tabIndex={0}>
          {JSON.stringify(row, null, 2)}
        </pre>
      )}
    </div>
  );
});

const days = new Intl.NumberFormat("en", { style: "unit", unit: "day", unitDisplay: "long" });
const keptFor = (keptDays) => (keptDays === null ? "" : ` (${days.format(keptDays)})`);

const Gap = ({ count, keptDays }) => (
  <div className="rt-gap" role="note">
    {`${number.format(count)} ${count === 1 ? "message is" : "messages are"} no longer kept${keptFor(keptDays)}`}
  </div>
);

/** A message that is being written. Beside the log, so that a screen reader hears it once, when it is whole. */
const Draft = ({ row, sentences }) => (
  <div className="rt-row rt-draft" data-draft={row.id}>
    <span className="rt-time">writing</span>
    <div className="rt-said">
      <span className="rt-sentence"><Parts parts={sentence(row, sentences)} /></span>
    </div>
  </div>
);

const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();

export function LiveFeed({ channel: named, hydrated, rewind, state, sentences, label, children }) {
  const channel = useLingering(named, hydrated);
  const feed = useHeldFeed(channel, rewind, state);
  const { status: connectionStatus } = useConnection();
  const scroller = useRef(null);
  const [unseen, setUnseen] = useState(0);
  const lastSeen = useRef(0);
  const { rows, drafts } = feed;
  const pending = usePending(channel, rows);
  const newestPending = pending.at(-1)?.id;
  const oldest = rows.find((row) => !row.gap)?.seq ?? null;
  // Nothing above what is shown is kept any more, and no gap says so already.
  const beginsLate = feed.first > 1 && !rows[0]?.gap && (oldest === null ? feed.first > feed.head : oldest > 1 && oldest <= feed.first);
  const newest = feed.last_seq;

  const toEnd = useCallback(() => {
    const box = scroller.current;
    if (box) box.scrollTop = box.scrollHeight;
  }, []);

  const setPinned = useCallback(
    (pinned) => {
      const held = feedOf(channel);
      if (held) held.pinned = pinned;
    },
    [channel],
  );

  // Stay at the end while the reader is there; further up, `HeldPlace` holds theirs.
  useLayoutEffect(() => {
    if (feedOf(channel)?.pinned ?? true) {
      toEnd();
      lastSeen.current = newest;
      setUnseen(0);
    } else {
      setUnseen(Math.max(0, newest - lastSeen.current));
    }
  }, [rows, drafts, newest, pending.length, channel, toEnd]);

  const goToNewest = useCallback(() => {
    setPinned(true);
    if (feedOf(channel)?.store.value.beyond) feedOf(channel).loadNewest();
    toEnd();
  }, [channel, setPinned, toEnd]);

  // A list that becomes lower (a window, a phone's keyboard, a banner) keeps its end in view.
  useEffect(() => {
    const observer = new ResizeObserver(() => (feedOf(channel)?.pinned ?? true) && toEnd());
    observer.observe(scroller.current);
    return () => observer.disconnect();
  }, [channel, toEnd]);

  // What the reader sends is at the end, wherever they were reading.
  useLayoutEffect(() => {
    if (newestPending) goToNewest();
  }, [newestPending, goToNewest]);

  useEffect(() => {
    goToNewest();
    lastSeen.current = 0;
  }, [channel, goToNewest]);

  const onScroll = () => {
    const box = scroller.current;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < AT_END_PX;
    if (atEnd && feed.beyond && !feedOf(channel)?.pinned) {
      lastSeen.current = rows[rows.length - 1].seq;
      feedOf(channel)?.loadNewer();
      return;
    }
    setPinned(atEnd);
    if (atEnd) {
      lastSeen.current = newest;
      setUnseen(0);
    }
  };

  const older = () => {
    setPinned(false);
    feedOf(channel)?.loadOlder();
  };

  const waiting = feed.status === "initialized" || (feed.status === "attaching" && rows.length === 0);
  return (
    <div className="rt-feed" data-status={feed.status} data-channel={channel}>
      {feed.restored && (
        <div className="rt-restored" role="status">
          <span>The server went back to an earlier state of this list. What you see is what it has now.</span>
          <button type="button" onClick={() => feedOf(channel)?.acknowledgeRestored()}>
            OK
          </button>
        </div>
      )}
      <div className="rt-scroller" ref={scroller} onScroll={onScroll} tabIndex={0} role="region" aria-label={`${label}, scrollable`}>
        {feed.older_error && (
          <p className="rt-older-error" role="alert">Older messages could not be loaded. {feed.older_error}</p>
        )}
        {oldest !== null && oldest > feed.first && (
          <button type="button" className="rt-older" disabled={feed.loading} onClick={older}>
            {feed.loading ? "Loading…" : feed.older_error ? "Try again" : `Show older (${number.format(oldest - feed.first)})`}
          </button>
        )}
        {beginsLate && (
          <div className="rt-kept" role="note">
            Older messages are no longer kept{keptFor(feed.kept_days)}.
          </div>
        )}
        {rows.length === 0 && pending.length === 0 && (!beginsLate || feed.error) && (
          <div className="rt-empty">
            {feed.status === "failed" || feed.error
              ? feed.error
              : waiting
                ? connectionStatus === "connected"
                  ? "Loading…"
                  : "Waiting for the connection…"
                : children}
          </div>
        )}
        <HeldPlace first={rows[0]} scroller={scroller} holds={() => feedOf(channel)?.pinned === false}>
          <div role="log" aria-label={label} aria-live="polite" aria-relevant="additions">
            {rows.map((row, index) => {
              if (row.gap) return <Gap key={`gap-${row.seq}`} count={row.gap} keptDays={feed.kept_days} />;
              const before = rows[index - 1];
              const newDay = before?.timestamp && !sameDay(before.timestamp, row.timestamp);
              return newDay ? (
                <div key={row.seq}>
                  <div className="rt-day">{day.format(new Date(row.timestamp))}</div>
                  <Row row={row} sentences={sentences} />
                </div>
              ) : (
                <Row key={row.seq} row={row} sentences={sentences} />
              );
            })}
          </div>
        </HeldPlace>
        {feed.newer_error && (
          <p className="rt-older-error" role="alert">Newer messages could not be loaded. {feed.newer_error}</p>
        )}
        <div className="rt-drafts" aria-live="off">
          {drafts.map((row) => (
            <Draft key={row.id} row={row} sentences={sentences} />
          ))}
        </div>
        <Pending entries={pending} sentences={sentences} />
      </div>
      {unseen > 0 && (
        <button
          type="button"
          className="rt-unseen"
          onClick={() => {
            goToNewest();
            setUnseen(0);
          }}
        >
          {number.format(unseen)} new {unseen === 1 ? "message" : "messages"} ↓
        </button>
      )}
    </div>
  );
}
