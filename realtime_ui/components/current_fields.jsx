/** A channel's fields as its events' `changes` left them, live. */
import "./realtime.css";
import { Clamped } from "./clamped.jsx";
import { useFields, useLingering } from "$/public/external/realtime_ui/states/client_vars/feed_client.js";

const number = new Intl.NumberFormat();

/** A value in words; of one that was too large to keep, its beginning and its size. */
const show = (value, bytes) => {
  if (bytes !== undefined) return `${value}… (${number.format(bytes)} bytes)`;
  return value === null ? "—" : typeof value === "object" ? JSON.stringify(value) : String(value);
};

export function CurrentFields({ channel: named, hydrated, rewind, empty }) {
  const channel = useLingering(named, hydrated);
  const { fields, known, more, error } = useFields(channel, rewind);
  const shown = Object.entries(fields);
  return (
    <>
      {shown.length > 0 && (
        <dl className="rt-fields">
          {shown.sort(([a], [b]) => a.localeCompare(b)).map(([name, [value, seq, bytes]]) => (
            <div key={name} className="rt-field">
              <dt><bdi>{name}</bdi></dt>
              {/* The key restarts the highlight whenever the field changes. */}
              <dd key={seq}>
                <Clamped parts={[{ outside: show(value, bytes) }]} long={300} shown={200} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {!known && <p className="rt-empty">{error || (shown.length > 0 ? "Loading more fields…" : "Loading…")}</p>}
      {known && shown.length === 0 && <p className="rt-empty">{empty}</p>}
      {known && more && (
        <p className="rt-kept" role="note">
          There are more fields; these {number.format(shown.length)} were set last.
        </p>
      )}
    </>
  );
}
