/** A text of any length, of which a long one is shown in part until somebody asks for the rest. */
import "./realtime.css";
import { useState } from "react";

const number = new Intl.NumberFormat();
const isHalfOfAPair = (text, index) => text.charCodeAt(index) >= 0xd800 && text.charCodeAt(index) < 0xdc00;

/** Parts of a text as they are shown: one from outside, `{ outside }`, turns nothing that stands beside it. */
export const Parts = ({ parts }) =>
  parts.map((part, index) => (typeof part === "string" ? part : <bdi key={index}>{part.outside}</bdi>));

const textOf = (part) => (typeof part === "string" ? part : part.outside);

/** The beginning of some parts, of so many characters together. */
const beginning = (parts, most) => {
  const kept = [];
  for (const part of parts) {
    const text = textOf(part);
    if (text.length > most) {
      const cut = text.slice(0, most > 0 && isHalfOfAPair(text, most - 1) ? most - 1 : most);
      return [...kept, typeof part === "string" ? cut : { outside: cut }, "…"];
    }
    kept.push(part);
    most -= text.length;
  }
  return kept;
};

/** Texts of more than `long` characters, all parts together, are cut to `shown`. */
export function Clamped({ parts, long = 1_000, shown = 500 }) {
  const [all, setAll] = useState(false);
  const length = parts.reduce((sum, part) => sum + textOf(part).length, 0);
  if (length <= long) return <Parts parts={parts} />;
  return (
    <>
      <Parts parts={all ? parts : beginning(parts, shown)} />{" "}
      <button type="button" className="rt-link" aria-expanded={all} onClick={() => setAll(!all)}>
        {all ? "Show less" : `Show all ${number.format(length)} characters`}
      </button>
    </>
  );
}
