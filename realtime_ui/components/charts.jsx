/** Small charts, drawn as SVG: a line of the last hour, and a sparkline. */
import { useState } from "react";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** A round number at or above `value`, for the top of a scale. */
const ceiling = (value) => {
  if (value <= 1) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * size).find((step) => step >= value);
};

/** Points as runs without a hole: a minute that nobody sampled is not bridged. */
const runsOf = (points) => {
  const runs = [];
  let last = -Infinity;
  for (const point of points) {
    if (point[0] - last > 1.5 * MINUTE_MS) runs.push([]);
    runs[runs.length - 1].push(point);
    last = point[0];
  }
  return runs;
};

/**
 * The last hour of some series, `[{name, kind, points: [[ms, value], …]}]`; `kind` gives the colour.
 * Under the pointer, the values of that minute; else the newest.
 */
export function HourChart({ title, unit = "", series, now }) {
  const [at, setAt] = useState(null);
  const end = Math.floor(now / MINUTE_MS) * MINUTE_MS;
  const begin = end - HOUR_MS;
  const shown = series.map((each) => ({ ...each, points: each.points.filter(([time]) => time >= begin) }));
  const values = shown.flatMap(({ points }) => points.map(([, value]) => value));
  const top = ceiling(Math.max(0, ...values));
  const x = (time) => ((time - begin) / HOUR_MS) * 100;
  const y = (value) => 40 - (value / top) * 38;
  const newest = Math.max(...shown.flatMap(({ points }) => points.map(([time]) => time)));
  const minute = at ?? newest;
  const said = shown
    .map(({ name, kind, points }) => [name, kind, points.find(([time]) => time === minute)?.[1]])
    .filter(([, , value]) => value !== undefined);
  const when = at === null ? "" : ` at ${clock.format(at)}`;
  const words = said.map(([name, , value]) => `${name} ${number.format(value)}${unit}`).join(", ");
  return (
    <figure className="rt-chart">
      <figcaption>
        <span>{title}</span>
        <small>{at === null ? "last hour" : clock.format(at)}</small>
      </figcaption>
      {values.length === 0 ? (
        <p className="rt-chart-empty">The first minute comes soon.</p>
      ) : (
        <>
          <div className="rt-plot">
            <span className="rt-plot-top" aria-hidden="true">{`${number.format(top)}${unit}`}</span>
            <svg
              viewBox="0 0 100 41"
              preserveAspectRatio="none"
              role="img"
              aria-label={`${title}${when}: ${words}`}
              onPointerLeave={() => setAt(null)}
              onPointerMove={(event) => {
                const { left, width } = event.currentTarget.getBoundingClientRect();
                const time = begin + ((event.clientX - left) / width) * HOUR_MS;
                setAt(Math.round(time / MINUTE_MS) * MINUTE_MS);
              }}
            >
              <line x1="0" x2="100" y1="40" y2="40" className="rt-axis" />
              <line x1="0" x2="100" y1="2" y2="2" className="rt-grid" />
              {at !== null && <line x1={x(at)} x2={x(at)} y1="0" y2="41" className="rt-grid" />}
              {shown.map(({ name, kind, points }) =>
                runsOf(points).map((run) => (
                  <polyline
                    key={`${name} ${run[0][0]}`}
                    data-kind={kind}
                    points={
                      run.length === 1
                        ? `${x(run[0][0]) - 0.6},${y(run[0][1])} ${x(run[0][0])},${y(run[0][1])}`
                        : run.map(([time, value]) => `${x(time)},${y(value)}`).join(" ")
                    }
                  />
                )),
              )}
            </svg>
          </div>
          <ul className="rt-legend" aria-hidden="true">
            {said.map(([name, kind, value]) => (
              <li key={name} data-kind={kind}>
                {name} <b>{`${number.format(value)}${unit}`}</b>
              </li>
            ))}
            {said.length === 0 && <li>nothing known</li>}
          </ul>
        </>
      )}
    </figure>
  );
}

/** The last values as a small line, scaled from 0 to their highest. */
export function Sparkline({ values, label }) {
  if (values.length < 2) return <svg className="rt-spark" aria-hidden="true" />;
  const top = Math.max(1, ...values);
  const step = 60 / (values.length - 1);
  const points = values.map((value, index) => `${index * step},${15 - (value / top) * 13}`).join(" ");
  return (
    <svg className="rt-spark" viewBox="0 0 60 16" preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points} />
    </svg>
  );
}
