/** The line that sends a first event. An API key in it is this page's alone: made at a click, gone with the page. */
import "./realtime.css";
import { useState } from "react";
import { fetchApi } from "$/public/external/realtime_ui/states/client_vars/api.js";

const PLACEHOLDER = "$API_KEY";

const lineOf = (url, example, key) =>
  [
    `curl ${url}/api/events`,
    `  -H 'Authorization: Bearer ${key || PLACEHOLDER}'`,
    "  -H 'Content-Type: application/json'",
    `  -d '${example}'`,
  ].join(" \\\n");

export function FirstEvent({ url, example, admin }) {
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const line = lineOf(url, example, key);
  const createKey = async () => {
    setBusy(true);
    setProblem("");
    try {
      setKey((await fetchApi("/api/keys", { method: "POST" })).key);
    } catch (error) {
      setProblem(error.message);
    }
    setBusy(false);
  };
  return (
    <section className="rt-card rt-first-event" aria-labelledby="rt-first-event">
      <h2 id="rt-first-event">Send your first event</h2>
      {key || !admin ? (
        <p>Paste this into a terminal. The channel appears here the moment the event is stored.</p>
      ) : (
        <p>Create an API key, then paste this into a terminal. The channel appears here the moment the event is stored.</p>
      )}
      <Copyable text={line} label="The line that sends the first event" />
      {problem && <p className="rt-problem" role="alert">{problem}</p>}
      {key && (
        <p className="rt-note" role="note">
          The API key in it is shown only now, on this page. Keep it like a password.
        </p>
      )}
      {!key && admin && (
        <p>
          <button type="button" className="rt-primary" disabled={busy} onClick={createKey}>
            Create a key
          </button>
        </p>
      )}
      {!admin && <p>Ask an admin for an API key, and put it in place of {PLACEHOLDER}.</p>}
    </section>
  );
}

function Copyable({ text, label }) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Select the line and copy it by hand"); // no clipboard without TLS, or the browser refused
    }
    setTimeout(() => setSaid(""), 3_000);
  };
  return (
    <div className="rt-copyable">
      <pre tabIndex={0} aria-label={label}>
        <code>{text}</code>
      </pre>
      <div className="rt-copy-row">
        <span role="status">{said}</span>
        <button type="button" className="rt-copy" onClick={copy}>
          Copy
        </button>
      </div>
    </div>
  );
}
