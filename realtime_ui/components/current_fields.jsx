/**
 * A channel's fields as its events' `changes` left them: a snapshot from the server, then each row as it
 * comes. The higher seq wins, so the order in which the two arrive does not matter.
 */
import "./realtime.css";
import { useMemo } from "react";
import { useFeed, useLingering } from "$/public/external/realtime_ui/states/client_vars/feed_client.js";

const show = (value) =>
  value === null ? "—" : typeof value === "object" ? JSON.stringify(value) : String(value);

export const fold = (snapshot, rows) => {
  const fields = new Map(Object.entries(snapshot));
  for (const row of rows) {
    const changes = row.data?.changes;
    if (!changes || typeof changes !== "object" || Array.isArray(changes)) continue;
    for (const [name, value] of Object.entries(changes)) {
      if (row.seq >= (fields.get(name)?.[1] ?? 0)) fields.set(name, [value, row.seq]);
    }
  }
  return fields;
};

export function CurrentFields({ channel: named, snapshot, empty }) {
  const channel = useLingering(named);
  const { rows } = useFeed(channel);
  const fields = useMemo(() => fold(snapshot, rows), [snapshot, rows]);
  if (fields.size === 0) return <p className="rt-empty">{empty}</p>;
  return (
    <dl className="rt-fields">
      {[...fields].sort(([a], [b]) => a.localeCompare(b)).map(([name, [value, seq]]) => (
        <div key={name} className="rt-field">
          <dt>{name}</dt>
          {/* The key restarts the highlight whenever the field changes. */}
          <dd key={seq}>{show(value)}</dd>
        </div>
      ))}
    </dl>
  );
}
