/**
 * A channel's fields as its events' `changes` left them: a snapshot from the server, then each row as it
 * comes. The higher seq wins, so the order in which the two arrive does not matter.
 */
import "./realtime.css";
import { useMemo } from "react";
import { useFeed, useLingering } from "$/public/external/realtime_ui/states/client_vars/feed_client.js";

const show = (value) =>
  value === null ? "—" : typeof value === "object" ? JSON.stringify(value) : String(value);

/** Of two values of a field, the one with the higher seq. */
const merge = (snapshot, live) => {
  const fields = new Map(Object.entries(snapshot));
  for (const [name, value] of Object.entries(live)) {
    if (value[1] >= (fields.get(name)?.[1] ?? 0)) fields.set(name, value);
  }
  return fields;
};

export function CurrentFields({ channel: named, snapshot, empty }) {
  const channel = useLingering(named);
  const { fields: live } = useFeed(channel);
  const fields = useMemo(() => merge(snapshot, live), [snapshot, live]);
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
