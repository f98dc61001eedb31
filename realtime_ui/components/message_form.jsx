/** A line to write a message in. Its text goes into the outbox, and stays where it is until it is safely there. */
import "./realtime.css";
import "./outbox.css";
import { useRef, useState } from "react";
import { wordsOf } from "$/public/external/realtime_ui/states/client_vars/connection.js";
import { useLingering } from "$/public/external/realtime_ui/states/client_vars/feed_client.js";
import { known, submit, useOutbox } from "$/public/external/realtime_ui/states/client_vars/outbox.js";

const COUNT_FROM = 0.8; // of the bound; below it nobody needs a counter
const ESCAPED = 6; // the most bytes that one UTF-16 unit takes in JSON
const number = new Intl.NumberFormat();

const bytesOf = (payload) => new TextEncoder().encode(JSON.stringify(payload)).length;

export function MessageForm({ channel: named, hydrated, type, payload, name, field, label, placeholder, button }) {
  const channel = useLingering(named, hydrated);
  const { me } = useOutbox();
  const input = useRef(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const [bytes, setBytes] = useState(0);
  const most = me?.max_post_bytes ?? Infinity;

  const messageOf = (text) => (id) => ({ ...payload, messageId: id, [name]: text });

  const count = () => {
    const text = input.current.value;
    setProblem("");
    setBytes(text.length * ESCAPED < most * COUNT_FROM ? 0 : bytesOf(messageOf(text)("0".repeat(36))));
  };

  const send = async (event) => {
    event.preventDefault();
    if (busy || !input.current.value.trim()) return;
    setBusy(true);
    setProblem("");
    try {
      await known();
      const text = input.current.value; // which may have been changed while it was not known who writes
      if (text.trim()) await submit(channel, type, messageOf(text.trim()));
      if (input.current?.value === text) {
        input.current.value = "";
        setBytes(0);
      }
    } catch (refusal) {
      setProblem(`Not sent: ${wordsOf(refusal)}`);
    } finally {
      setBusy(false);
    }
  };

  const note = `${field}-note`;
  const counted = bytes >= most * COUNT_FROM;
  return (
    <form className="rt-composer" onSubmit={send}>
      <input
        ref={input}
        id={field}
        name={name}
        placeholder={placeholder}
        aria-label={label}
        aria-describedby={note}
        aria-invalid={bytes > most || problem !== ""}
        autoComplete="off"
        onInput={count}
      />
      <button type="submit" className="rt-primary" disabled={!channel}>{button}</button>
      <div id={note} className="rt-composer-note" aria-live="polite">
        {busy && !me && "Waiting for the connection; the text stays here until it is kept."}
        {problem && <span role="alert" className="rt-refused">{problem}</span>}
        {counted && !problem && (
          <span className={bytes > most ? "rt-refused" : undefined}>
            {`${number.format(bytes)} of ${number.format(most)} bytes`}
          </span>
        )}
      </div>
    </form>
  );
}
