/** Messages that are being sent, and those that were not: with their text, why, and what to do about it. */
import "./outbox.css";
import { useConnection } from "$/public/external/realtime_ui/states/client_vars/connection.js";
import { discard, retry, useOutbox } from "$/public/external/realtime_ui/states/client_vars/outbox.js";
import { Parts } from "./clamped.jsx";
import { sentence } from "./sentences.js";

const SENTENCES = {}; // of types that nobody gave any

/** How an entry stands: refused, held while there is no connection, tried again, or sending. */
const standing = (entry, { is_connected, action }) => {
  if (entry.answered) return ["sending", ""];
  if (entry.refused) return ["refused", `Not sent: ${entry.refused.words}`];
  const kept = entry.volatile ? "Keep this page open." : "It is kept in this browser.";
  if (!is_connected && action === "sign_in") {
    return ["held", `Not sent yet. ${kept} It is sent when you are signed in again.`];
  }
  if (!is_connected) return ["held", `Not sent yet. ${kept} It is sent when the connection is back.`];
  if (entry.trouble) return ["held", `Not sent yet, trying again. ${entry.trouble}`];
  return ["sending", ""];
};

const partsOf = ({ type, payload }, sentences, me) =>
  sentence({ type, data: { author: { name: me?.name }, ...payload } }, sentences);

export function Entry({ entry, sentences, children }) {
  const connection = useConnection();
  const { me } = useOutbox();
  const [state, note] = standing(entry, connection);
  return (
    <div className="rt-row rt-pending" data-pending={entry.id} data-state={state}>
      <span className="rt-time">{state === "sending" ? "sending" : "unsent"}</span>
      <div className="rt-said">
        <span className="rt-sentence"><Parts parts={partsOf(entry, sentences ?? SENTENCES, me)} /></span>
        {children}
        {note && (
          <span className="rt-pending-note">
            <span role={state === "refused" ? "alert" : undefined}>{note}</span>
            {state === "refused" && (
              <button type="button" className="rt-link" onClick={() => retry(entry.id)}>Try again</button>
            )}
            <button type="button" className="rt-link" onClick={() => discard(entry.id)}>Discard</button>
          </span>
        )}
      </div>
    </div>
  );
}

/** A channel's unsent messages. Beside the log, so that a screen reader hears a message once, as a row. */
export function Pending({ entries, sentences }) {
  return (
    <div className="rt-pendings" aria-live="off">
      {entries.map((entry) => (
        <Entry key={entry.id} entry={entry} sentences={sentences} />
      ))}
    </div>
  );
}
