/** The tenant's channels by title, with their last activity and how many watch, live. */
import "./realtime.css";
import { useState } from "react";
import { Link } from "react-router";
import { ago, useNow } from "./ago.js";
import { useLobby } from "$/public/external/realtime_ui/states/client_vars/lobby.js";

const number = new Intl.NumberFormat();

export function ChannelList({ routes, children }) {
  const { rows, error } = useLobby();
  const [filter, setFilter] = useState("");
  const now = useNow(1000);
  if (rows === null) return <p className="rt-empty">{error || "Loading…"}</p>;
  if (rows.length === 0) return children;
  const words = filter.toLowerCase();
  const shown = rows.filter((row) => `${row.title ?? ""} ${row.channel}`.toLowerCase().includes(words));
  return (
    <section className="rt-channels">
      <div className="rt-channels-head">
        <h1>Channels</h1>
        <input
          type="search"
          placeholder="Filter"
          aria-label="Filter channels"
          value={filter}
          onChange={(event) => setFilter(event.target.value)}
        />
      </div>
      {shown.length === 0 && <p className="rt-empty">No channel matches “{filter}”.</p>}
      <ul>
        {shown.map((row) => {
          const [kind, ...rest] = row.channel.split(":");
          const id = rest.join(":");
          const page = routes[kind];
          const body = (
            <>
              <span className="rt-kind" data-kind={kind}>{kind}</span>
              <span className="rt-title">
                {row.title ?? id}
                {row.title && <small>{id}</small>}
              </span>
              <span className="rt-count" title="People's tabs on it now">
                {row.watching > 0 && `${number.format(row.watching)} watching`}
              </span>
              <span className="rt-count">
                {number.format(row.events)} {row.events === 1 ? "event" : "events"}
              </span>
              <time className="rt-ago" dateTime={row.lastActivity ? new Date(row.lastActivity).toISOString() : undefined}>
                {ago(row.lastActivity, now)}
              </time>
            </>
          );
          return (
            <li key={row.channel} data-channel={row.channel} data-live={now - (row.lastActivity ?? 0) < 5_000}>
              {page ? (
                <Link className="rt-channel" to={page.replace("{id}", encodeURIComponent(id))}>{body}</Link>
              ) : (
                <div className="rt-channel">{body}</div>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
