/** A channel's fields as its events' `changes` left them, live. */
import "./realtime.css";
import { useFields, useLingering } from "$/public/external/realtime_ui/states/client_vars/feed_client.js";

const show = (value) =>
  value === null ? "—" : typeof value === "object" ? JSON.stringify(value) : String(value);

export function CurrentFields({ channel: named, hydrated, rewind, empty }) {
  const channel = useLingering(named, hydrated);
  const fields = Object.entries(useFields(channel, rewind));
  if (fields.length === 0) return <p className="rt-empty">{empty}</p>;
  return (
    <dl className="rt-fields">
      {fields.sort(([a], [b]) => a.localeCompare(b)).map(([name, [value, seq]]) => (
        <div key={name} className="rt-field">
          <dt>{name}</dt>
          {/* The key restarts the highlight whenever the field changes. */}
          <dd key={seq}>{show(value)}</dd>
        </div>
      ))}
    </dl>
  );
}
