/** The heartbeat monitor: each connection on each channel, live; for admins also charts, for operators the heartbeats' settings. */
import "./realtime.css";
import "./monitor.css";
import { useState } from "react";
import { Link } from "react-router";
import {
  closeConnection, setHeartbeat, useConnections,
} from "$/public/external/realtime_ui/states/client_vars/monitor.js";
import { useTitles } from "$/public/external/realtime_ui/states/client_vars/titles.js";
import { useNow } from "./ago.js";
import { isolated } from "./isolated.js";
import { HourChart, Sparkline } from "./charts.jsx";

const TYPES = ["project", "session", "organization", "user", "system"];
const STATES = ["alive", "late", "stale", "gone"];
const number = new Intl.NumberFormat();

const span = (ms) => {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 86_400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86_400)} d`;
};

const deviceOf = ({ browser, system, device }) => [browser, system || device].filter(Boolean).join(" · ") || "unknown";

export function Connections({ routes }) {
  const page = useConnections();
  const here = useNow(1_000);
  const [filter, setFilter] = useState("");
  const [state, setState] = useState("");
  const titles = useTitles([...(page.rows?.values() ?? [])].map(({ channel }) => channel));
  if (!page.ready) return <p className="rt-empty">{page.error || "Loading…"}</p>;
  const rows = [...page.rows.values()].sort((a, b) => (a.closed ? 1 : 0) - (b.closed ? 1 : 0) || b.since - a.since);
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = rows.filter((row) => {
    const text = `${row.name} ${row.channel} ${titles.get(row.channel) ?? ""} ${deviceOf(row)} ${row.device} ${row.transport} ${row.address}`.toLowerCase();
    return (!state || row.state === state) && words.every((word) => text.includes(word));
  });
  const counts = Object.fromEntries(STATES.map((each) => [each, rows.filter((row) => row.state === each).length]));
  return (
    <div className="rt-stack">
      {page.all && <Charts history={page.history} now={here} />}
      <section className="rt-channels" aria-label="Connections">
        <div className="rt-channels-head rt-monitor-head">
          <h1>
            {page.all ? "Connections" : "Your connections"} <small>{number.format(page.total)} open</small>
          </h1>
          <div className="rt-states" role="group" aria-label="Show only">
            {STATES.map((each) => (
              <button
                key={each}
                type="button"
                className="rt-state"
                data-state={each}
                aria-pressed={state === each}
                onClick={() => setState(state === each ? "" : each)}
              >
                {each} {number.format(counts[each])}
              </button>
            ))}
          </div>
          <input
            type="search"
            placeholder="Filter"
            aria-label="Filter connections"
            value={filter}
            onChange={(event) => setFilter(event.target.value)}
          />
        </div>
        {page.error && <p className="rt-problem" role="alert">{page.error}</p>}
        {rows.length === 0 && (
          <p className="rt-empty">Nobody watches a channel now. Open a project or a session in another tab.</p>
        )}
        {rows.length > 0 && shown.length === 0 && <p className="rt-empty">No connection matches.</p>}
        {shown.length > 0 && (
          <div className="rt-lines" role="table" aria-label="Connections on channels">
            <div className="rt-line rt-line-names" role="row">
              {["State", "Who", "Channel", "Last beat", "Latency", "Messages", "Since", ""].map((name) => (
                <span key={name} role="columnheader">{name}</span>
              ))}
            </div>
            {shown.map((row) => (
              <Line key={row.id} row={row} title={titles.get(row.channel)} here={here} routes={routes} admin={page.all} onPerson={setFilter} />
            ))}
          </div>
        )}
        {page.total > page.limit && (
          <p className="rt-note rt-more">
            The newest {number.format(page.limit)} of {number.format(page.total)} are shown.
          </p>
        )}
      </section>
      {page.operator && <Settings config={page.config} />}
    </div>
  );
}

function Line({ row, title, here, routes, admin, onPerson }) {
  const [problem, setProblem] = useState("");
  const [kind, id] = [row.channel.slice(0, row.channel.indexOf(":")), row.channel.slice(row.channel.indexOf(":") + 1)];
  const route = routes[kind];
  const latest = row.latencies[row.latencies.length - 1];
  const close = async () => setProblem((await closeConnection(row.connection))?.words ?? "");
  const end = row.closed ?? here;
  return (
    <div className="rt-line" role="row" data-state={row.state} data-connection={row.connection} data-channel={row.channel}>
      <span role="cell" className="rt-state-cell" data-state={row.state}>{row.state}</span>
      <span role="cell" className="rt-who">
        <button type="button" className="rt-link" title={`Only ${isolated(row.name)}`} onClick={() => onPerson(row.name)}>
          <bdi>{row.name || "unknown"}</bdi>
        </button>
        <small title={[row.device, row.transport, row.address].filter(Boolean).map(isolated).join(" · ")}>
          {deviceOf(row)} · {row.transport === "sse" ? "stream" : "socket"}
        </small>
      </span>
      <span role="cell" className="rt-where">
        <span className="rt-kind" data-kind={kind}>{kind}</span>{" "}
        {route ? <Link to={route.replace("{id}", encodeURIComponent(id))} title={isolated(id)}><bdi>{title ?? id}</bdi></Link> : <bdi>{title ?? id}</bdi>}
      </span>
      <span role="cell" className="rt-number" data-name="last beat">
        {row.closed ? `ended ${span(here - row.closed)} ago` : row.beat ? `${span(here - row.beat)} ago` : "none yet"}
      </span>
      <span role="cell" className="rt-latency" data-name="latency">
        <Sparkline values={row.latencies} label={`Latencies, the last ${row.latencies.length}`} />
        <span className="rt-number">{latest === undefined ? "–" : `${number.format(latest)} ms`}</span>
      </span>
      <span role="cell" className="rt-number" data-name="messages">{number.format(row.messages)}</span>
      <span role="cell" className="rt-number" data-name="since" title={new Date(row.since).toLocaleString()}>
        {span(end - row.since)}
      </span>
      <span role="cell" className="rt-line-action">
        {admin && !row.closed && (
          <button type="button" className="rt-quiet" aria-label={`Close ${isolated(row.name)}'s connection`} onClick={close}>
            Close
          </button>
        )}
      </span>
      {problem && <span className="rt-line-problem" role="alert">{problem}</span>}
    </div>
  );
}

function Charts({ history, now }) {
  const series = (field) =>
    TYPES.map((kind) => ({
      name: kind,
      kind,
      points: history
        .filter((each) => each.channel_type === kind && each[field] !== null)
        .map((each) => [each.minute, each[field]]),
    })).filter(({ points }) => points.length > 0);
  return (
    <section className="rt-charts" aria-label="The last hour by channel type">
      <HourChart title="Connections" series={series("connections")} now={now} />
      <HourChart title="Messages a minute" series={series("messages")} now={now} />
      <HourChart title="Latency, median" unit=" ms" series={series("p50")} now={now} />
      <HourChart title="Beats missed a minute" series={series("missed")} now={now} />
    </section>
  );
}

function Settings({ config }) {
  return (
    <section className="rt-card rt-settings" aria-labelledby="rt-settings">
      <h2 id="rt-settings">Heartbeats</h2>
      <p className="rt-note">
        How often the server beats, and after how long a silent connection is stale. They hold for all of this server.
      </p>
      {TYPES.map((kind) => (
        <Setting key={kind} kind={kind} config={config[kind]} />
      ))}
    </section>
  );
}

function Setting({ kind, config }) {
  const [draft, setDraft] = useState(null); // {interval, timeout} as typed, in s
  const [said, setSaid] = useState(null);
  const [saving, setSaving] = useState(false);
  const shown = draft ?? { interval: config.interval_ms / 1000, timeout: config.timeout_ms / 1000 };
  const save = async (event) => {
    event.preventDefault();
    setSaving(true);
    const ms = (text) => Math.round(Number(text) * 1000);
    const problem = await setHeartbeat(kind, ms(shown.interval), ms(shown.timeout));
    setSaving(false);
    setSaid(problem ?? { words: "Saved", ok: true });
    if (!problem) setDraft(null);
  };
  const input = (name, field) => (
    <label>
      <span>{name}</span>
      <input
        type="number"
        step="any"
        required
        value={shown[name]}
        aria-label={`${kind}: ${name} in seconds`}
        aria-invalid={said?.field === field}
        aria-describedby={said ? `rt-said-${kind}` : undefined}
        onChange={(event) => {
          setSaid(null);
          setDraft({ ...shown, [name]: event.target.value });
        }}
      />
      <span aria-hidden="true">s</span>
    </label>
  );
  return (
    <form className="rt-setting" aria-label={`Heartbeat of ${kind}`} onSubmit={save} noValidate>
      <span className="rt-kind" data-kind={kind}>{kind}</span>
      {input("interval", "interval_ms")}
      {input("timeout", "timeout_ms")}
      <button type="submit" className="rt-copy" disabled={draft === null || saving}>Save</button>
      {said && (
        <span id={`rt-said-${kind}`} role={said.ok ? "status" : "alert"} className={said.ok ? "rt-note" : "rt-refused"}>
          {said.words}
        </span>
      )}
    </form>
  );
}
