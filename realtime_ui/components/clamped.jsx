/** A text of any length, of which a long one is shown in part until somebody asks for the rest. */
import "./realtime.css";
import { useState } from "react";

const number = new Intl.NumberFormat();
const isHalfOfAPair = (text, index) => text.charCodeAt(index) >= 0xd800 && text.charCodeAt(index) < 0xdc00;

/** Texts of more than `long` characters are cut to `shown`. */
export function Clamped({ text, long = 1_000, shown = 500 }) {
  const [all, setAll] = useState(false);
  if (text.length <= long) return text;
  const beginning = text.slice(0, isHalfOfAPair(text, shown - 1) ? shown - 1 : shown);
  return (
    <>
      {all ? text : `${beginning}…`}{" "}
      <button type="button" className="rt-link" aria-expanded={all} onClick={() => setAll(!all)}>
        {all ? "Show less" : `Show all ${number.format(text.length)} characters`}
      </button>
    </>
  );
}
