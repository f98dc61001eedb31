/** Connection health: how the parts and the workers are, and how the last hour was. */
import "./realtime.css";
import "./monitor.css";
import { useHealth } from "$/public/external/realtime_ui/states/client_vars/monitor.js";
import { ago, useNow } from "./ago.js";
import { HourChart } from "./charts.jsx";

const number = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const OLD_MS = 15_000; // a worker that is well says how it is every few seconds
const CHARTS = [
  ["Sockets and streams", "", [["sockets", "project"], ["streams", "session"]]],
  ["Stale connections", "", [["stale", "late"]]],
  ["Hub lag, worst", " ms", [["hub_lag_ms", "system"]]],
  ["Refused and dropped a minute", "", [["refused", "late"], ["dropped", "stale"]]],
];

export function Health() {
  const page = useHealth();
  const now = useNow(1_000);
  if (!page.ready) return <p className="rt-empty">{page.error || "Loading…"}</p>;
  const { workers } = page;
  const sum = (field) => workers.reduce((total, worker) => total + worker[field], 0);
  const isOld = (worker) => now - worker.seen > OLD_MS;
  // What is true of a part now, only workers that were just heard of can say; sums need all of them.
  const heard = workers.filter((worker) => !isOld(worker));
  const speak = heard.length ? heard : workers;
  const newest = Math.max(...workers.map((worker) => worker.seen));
  const oldest = Math.min(...workers.map((worker) => worker.seen));
  const partAge = heard.length ? "" : `as of ${ago(newest, now)}`;
  const sumAge = now - oldest > OLD_MS ? `as of ${ago(oldest, now)}` : "";
  const measured = speak.filter((worker) => worker.database_up);
  const lag = measured.length ? Math.max(...measured.map((worker) => worker.hub_lag_ms)) : null;
  const away = speak.filter((worker) => !worker.database_up).length;
  const troubled = speak.filter((worker) => worker.provider_error);
  const troubles = workers.map((worker) => worker.provider_trouble).filter(Boolean);
  const last = troubles.sort((a, b) => b.at - a.at)[0];
  const off = speak.filter((worker) => worker.provider_status !== "connected");
  const several = workers.length > 1;
  return (
    <div className="rt-stack">
      {page.error && <p className="rt-problem" role="alert">{page.error}</p>}
      <section aria-labelledby="rt-health">
        <h1 id="rt-health">Health</h1>
        <dl className="rt-tiles">
          <Tile name="Database" value={away ? "away" : "answers"} bad={away > 0} note={away && several ? `for ${away} of ${speak.length} workers` : ""} age={partAge} />
          <Tile
            name={`Provider (${workers[0].provider})`}
            value={off[0]?.provider_status ?? "connected"}
            bad={off.length > 0 || troubled.length > 0}
            note={off.length && several ? `on ${off.length} of ${speak.length} workers` : ""}
            age={partAge}
          />
          <Tile
            name="Hub lag"
            value={lag === null ? "unknown" : `${number.format(lag)} ms`}
            bad={lag === null || lag > 5_000}
            note={lag === null ? "the database is away" : ""}
            age={partAge}
          />
          <Tile name="Sockets" value={number.format(sum("sockets"))} age={sumAge} />
          <Tile name="Streams" value={number.format(sum("streams"))} age={sumAge} />
          <Tile name="Stale" value={number.format(sum("stale"))} bad={sum("stale") > 0} note="silent beyond their timeout" age={sumAge} />
          <Tile name="Refused" value={number.format(sum("refused"))} note="emits and sockets, since the start" age={sumAge} />
          <Tile name="Dropped" value={number.format(sum("dropped"))} bad={sum("dropped") > 0} note="did not fit into a queue" age={sumAge} />
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
            now={now}
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
                <tr key={worker.id} data-old={isOld(worker)}>
                  <th scope="row">
                    {worker.id} {worker.here && <small>this one</small>}
                    {isOld(worker) && <small>as of {ago(worker.seen, now)}</small>}
                  </th>
                  <td>{upFor(now - worker.started)}</td>
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

/** A figure. `age` says when it was true, where that is long ago. */
function Tile({ name, value, bad = false, note = "", age = "" }) {
  return (
    <div className="rt-tile" data-bad={bad} data-old={age !== ""}>
      <dt>{name}</dt>
      <dd>
        {value}
        {age && <small>{age}</small>}
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}
