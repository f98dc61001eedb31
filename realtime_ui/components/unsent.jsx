/** What the person has not sent yet, on whatever page: a count with a list, and a word at the sign-out. */
import "./realtime.css";
import "./outbox.css";
import { useEffect, useRef, useState } from "react";
import { useOutbox } from "$/public/external/realtime_ui/states/client_vars/outbox.js";
import { Entry } from "./pending.jsx";

const PATIENCE_MS = 2_000; // most messages are answered long before

const number = new Intl.NumberFormat();
const counted = (count) => `${number.format(count)} ${count === 1 ? "message" : "messages"}`;

/** Unsent messages, once some of them have been so for a while. */
const useUnsent = () => {
  const { pending } = useOutbox();
  const [now, setNow] = useState(() => Date.now());
  const unsent = pending.filter((entry) => !entry.answered);
  const late = unsent.filter((entry) => entry.refused || now - entry.at >= PATIENCE_MS);
  const waits = late.length < unsent.length;
  useEffect(() => {
    if (!waits) return undefined;
    const timer = setTimeout(() => setNow(Date.now()), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [waits, now]);
  return { unsent, late };
};

export function UnsentMessages({ sentences }) {
  const { late } = useUnsent();
  const [open, setOpen] = useState(false);
  if (late.length === 0) return null;
  return (
    <div className="rt-unsent" onKeyDown={({ key }) => key === "Escape" && setOpen(false)}>
      <button type="button" className="rt-unsent-count" aria-expanded={open} onClick={() => setOpen(!open)}>
        {number.format(late.length)} unsent
      </button>
      {open && (
        <section className="rt-unsent-list" aria-label="Unsent messages">
          {late.map((entry) => (
            <Entry key={entry.id} entry={entry} sentences={sentences}>
              <span className="rt-type">{entry.channel}</span>
            </Entry>
          ))}
        </section>
      )}
    </div>
  );
}

/** Inside a sign-out form: the first try of somebody with unsent messages is answered with what becomes of them. */
export function UnsentAtSignOut() {
  const { unsent } = useUnsent();
  const [asked, setAsked] = useState(false);
  const mark = useRef(null);
  const count = useRef(0);
  count.current = unsent.length;
  useEffect(() => {
    const form = mark.current.closest("form");
    const ask = (event) => {
      if (count.current === 0 || event.submitter?.name === "anyway") return;
      event.preventDefault();
      setAsked(true);
    };
    form.addEventListener("submit", ask);
    return () => form.removeEventListener("submit", ask);
  }, []);
  const lost = unsent.filter((entry) => entry.volatile).length;
  const have = unsent.length === 1 ? "has" : "have";
  return (
    <span ref={mark}>
      {asked && unsent.length > 0 && (
        <span className="rt-unsent-list rt-unsent-ask" role="alert">
          <span>
            {`${counted(unsent.length)} ${have} not been sent. `}
            {lost > 0
              ? `This browser keeps ${lost === unsent.length ? "none" : "not all"} of them: ${counted(lost)} will be lost.`
              : `${unsent.length === 1 ? "It is" : "They are"} kept in this browser, shown to nobody else, and sent when you sign in here again.`}
          </span>
          <button type="submit" name="anyway" className="rt-copy">Sign out</button>
          <button type="button" className="rt-copy" onClick={() => setAsked(false)}>Stay</button>
        </span>
      )}
    </span>
  );
}
