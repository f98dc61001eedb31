/** The tenant's channels by title, with their last activity and how many watch, live; and a search in all of them. */
import "./realtime.css";
import { memo, useEffect, useRef } from "react";
import { Link } from "react-router";
import { ago, useNow } from "./ago.js";
import { useLobby, useSearch } from "$/public/external/realtime_ui/states/client_vars/lobby.js";

const LIVE_MS = 5_000;
const AHEAD = "400px"; // the next page is loaded when the end of the list comes so near

const number = new Intl.NumberFormat();

const Channel = memo(function Channel({ row, page, when, live }) {
  const [kind, ...rest] = row.channel.split(":");
  const id = rest.join(":");
  const body = (
    <>
      <span className="rt-kind" data-kind={kind}>{kind}</span>
      <span className="rt-title">
        <bdi>{row.title ?? id}</bdi>
        {row.title && <small>{id}</small>}
      </span>
      <span className="rt-count" title="People's tabs on it now">
        {row.watching > 0 && `${number.format(row.watching)} watching`}
      </span>
      <span className="rt-count">
        {number.format(row.events)} {row.events === 1 ? "event" : "events"}
      </span>
      <time className="rt-ago" dateTime={row.lastActivity ? new Date(row.lastActivity).toISOString() : undefined}>
        {when}
      </time>
    </>
  );
  return (
    <li data-channel={row.channel} data-live={live}>
      {page ? (
        <Link className="rt-channel" to={page.replace("{id}", encodeURIComponent(id))}>{body}</Link>
      ) : (
        <div className="rt-channel">{body}</div>
      )}
    </li>
  );
});

function Channels({ rows, routes }) {
  const now = useNow(1000);
  return (
    <ul>
      {rows.map((row) => (
        <Channel
          key={row.channel}
          row={row}
          page={routes[row.channel.slice(0, row.channel.indexOf(":"))]}
          when={ago(row.lastActivity, now)}
          live={now - (row.lastActivity ?? 0) < LIVE_MS}
        />
      ))}
    </ul>
  );
}

/** Loads the next page when the end of the list comes near, or at a press. */
function More({ loading, loadMore }) {
  const end = useRef(null);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && loadMore(), { rootMargin: AHEAD });
    observer.observe(end.current);
    return () => observer.disconnect();
  });
  return (
    <button ref={end} type="button" className="rt-older" disabled={loading} onClick={loadMore}>
      {loading ? "Loading…" : "Show more channels"}
    </button>
  );
}

function Found({ found, of, query, more, error, routes }) {
  if (error) return <p className="rt-problem" role="alert">{error}</p>;
  if (found === null) return <p className="rt-empty">Searching…</p>;
  const busy = of !== query.trim();
  return (
    <div aria-busy={busy} role="region" aria-label="Channels found">
      {found.length === 0 && <p className="rt-empty">{busy ? "Searching…" : `No channel matches “${of}”.`}</p>}
      <Channels rows={found} routes={routes} />
      {more && <p className="rt-kept" role="note">More channels match. Type further words to narrow them down.</p>}
    </div>
  );
}

export function ChannelList({ routes, children }) {
  const { rows, error, more, full, loading, loadMore } = useLobby();
  const { search, ...wish } = useSearch();
  if (rows === null) return <p className="rt-empty">{error || "Loading…"}</p>;
  if (rows.length === 0) return children;
  return (
    <section className="rt-channels">
      <div className="rt-channels-head">
        <h1>Channels</h1>
        <input
          type="search"
          placeholder="Search"
          aria-label="Search channels"
          maxLength={200}
          value={wish.query}
          onChange={(event) => search(event.target.value)}
        />
      </div>
      {wish.query.trim() ? (
        <Found {...wish} routes={routes} />
      ) : (
        <>
          <Channels rows={rows} routes={routes} />
          {error && <p className="rt-problem" role="alert">{error}</p>}
          {more && <More loading={loading} loadMore={loadMore} />}
          {full && (
            <p className="rt-kept" role="note">
              These are the {number.format(rows.length)} channels that were active last. Search for others.
            </p>
          )}
        </>
      )}
    </section>
  );
}
