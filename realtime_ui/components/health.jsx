/** Connection health: how the parts and the workers are, and how the last hour was. */
import "./realtime.css";
import "./monitor.css";
import { useEffect, useState } from "react";
import { useHealth } from "$/public/external/realtime_ui/states/client_vars/monitor.js";
import { HourChart } from "./charts.jsx";

const number = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CHARTS = [
  ["Sockets and streams", "", [["sockets", "project"], ["streams", "session"]]],
  ["Stale connections", "", [["stale", "late"]]],
  ["Hub lag, worst", " ms", [["hub_lag_ms", "system"]]],
  ["Refused and dropped a minute", "", [["refused", "late"], ["dropped", "stale"]]],
];

export function Health() {
  const page = useHealth();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 5_000);
    return () => clearInterval(timer);
  }, []);
  if (!page.ready) return <p className="rt-empty">{page.error || "Loading…"}</p>;
  const { workers } = page;
  const sum = (field) => workers.reduce((total, worker) => total + worker[field], 0);
  const lag = Math.max(...workers.map((worker) => worker.hub_lag_ms));
  const away = workers.filter((worker) => !worker.database_up).length;
  const troubled = workers.filter((worker) => worker.provider_error);
  const troubles = workers.map((worker) => worker.provider_trouble).filter(Boolean);
  const last = troubles.sort((a, b) => b.at - a.at)[0];
  const off = workers.filter((worker) => worker.provider_status !== "connected");
  const several = workers.length > 1;
  return (
    <div className="rt-stack">
      {page.error && <p className="rt-problem" role="alert">{page.error}</p>}
      <section aria-labelledby="rt-health">
        <h1 id="rt-health">Health</h1>
        <dl className="rt-tiles">
          <Tile name="Database" value={away ? "away" : "answers"} bad={away > 0} note={away && several ? `for ${away} of ${workers.length} workers` : ""} />
          <Tile
            name={`Provider (${workers[0].provider})`}
            value={off[0]?.provider_status ?? "connected"}
            bad={off.length > 0 || troubled.length > 0}
            note={off.length && several ? `on ${off.length} of ${workers.length} workers` : ""}
          />
          <Tile name="Hub lag" value={`${number.format(lag)} ms`} bad={lag > 5_000} />
          <Tile name="Sockets" value={number.format(sum("sockets"))} />
          <Tile name="Streams" value={number.format(sum("streams"))} />
          <Tile name="Stale" value={number.format(sum("stale"))} bad={sum("stale") > 0} note="silent beyond their timeout" />
          <Tile name="Refused" value={number.format(sum("refused"))} note="emits and sockets, since the start" />
          <Tile name="Dropped" value={number.format(sum("dropped"))} bad={sum("dropped") > 0} note="did not fit into a queue" />
        </dl>
        {last && (
          <p className={troubled.length ? "rt-problem" : "rt-note"} role={troubled.length ? "alert" : undefined}>
            {troubled.length ? "The provider is in trouble since" : "The provider was last in trouble at"}{" "}
            <time dateTime={new Date(last.at).toISOString()}>{clock.format(last.at)}</time>: {last.text}
          </p>
        )}
      </section>
      <section className="rt-charts" aria-label="The last hour">
        {CHARTS.map(([title, unit, fields]) => (
          <HourChart
            key={title}
            title={title}
            unit={unit}
            now={now + page.skew}
            series={fields.map(([field, kind]) => ({
              name: field.replace("hub_lag_ms", "lag"),
              kind,
              points: page.history.map((each) => [each.minute, each[field]]),
            }))}
          />
        ))}
      </section>
      <section className="rt-channels" aria-labelledby="rt-workers">
        <div className="rt-channels-head">
          <h2 id="rt-workers">Workers</h2>
        </div>
        <div className="rt-scroll" tabIndex={0} role="region" aria-label="Workers, scrollable">
          <table className="rt-workers">
            <thead>
              <tr>
                {["Worker", "Up for", "Database", "Provider", "Hub lag", "Sockets", "Streams", "Watched", "Stale", "Refused", "Dropped"].map(
                  (name) => <th key={name} scope="col">{name}</th>,
                )}
              </tr>
            </thead>
            <tbody>
              {workers.map((worker) => (
                <tr key={worker.id}>
                  <th scope="row">
                    {worker.id} {worker.here && <small>this one</small>}
                  </th>
                  <td>{upFor(now + page.skew - worker.started)}</td>
                  <td>{worker.database_up ? "answers" : "away"}</td>
                  <td>{worker.provider_status}</td>
                  <td>{number.format(worker.hub_lag_ms)} ms</td>
                  {["sockets", "streams", "subscriptions", "stale", "refused", "dropped"].map((field) => (
                    <td key={field}>{number.format(worker[field])}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </div>
  );
}

const upFor = (ms) => {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  if (minutes < 60) return `${minutes} min`;
  return minutes < 1440 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
};

function Tile({ name, value, bad = false, note = "" }) {
  return (
    <div className="rt-tile" data-bad={bad}>
      <dt>{name}</dt>
      <dd>
        {value}
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}
