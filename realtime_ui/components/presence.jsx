/** Who is here: a stack of avatars, and a line that says who is typing. */
import "./realtime.css";
import { ago, useNow } from "./ago.js";
import { isolated } from "./isolated.js";
import { useLingering } from "$/public/external/realtime_ui/states/client_vars/feed_client.js";
import { useEntered, useTypingIn } from "$/public/external/realtime_ui/states/client_vars/presence.js";

const LIVELINESS = ["typing", "online", "away"];

/** A colour that a person keeps, as a hue in degrees. */
const hueOf = (person) => [...person].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7);

const initialsOf = (name) => {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]].map((word) => [...word][0]) : [...words[0]].slice(0, 2);
  return letters.join("").toLocaleUpperCase();
};

export const tabsOf = (count) => `${count} ${count === 1 ? "tab" : "tabs"}`;

/** A person's initials in their colour, with a dot for how they are; grey where they left. */
export function Avatar({ member }) {
  return (
    <span
      className="rt-avatar"
      aria-hidden="true"
      data-state={member.left_at ? "left" : member.state}
      style={{ "--hue": hueOf(member.person) }}
    >
      {initialsOf(member.name)}
    </span>
  );
}

/** The liveliest first; of equals those who came first. */
export const byLiveliness = (a, b) =>
  LIVELINESS.indexOf(a.state) - LIVELINESS.indexOf(b.state) || a.since - b.since || a.name.localeCompare(b.name);

const wordsOn = (member, me, now) => {
  const name = member.person === me ? `${isolated(member.name)} (you)` : isolated(member.name);
  return member.left_at ? `${name}, left ${ago(member.left_at, now)}` : `${name}, ${member.state}, ${tabsOf(member.tabs)}`;
};

export function AvatarStack({ channel, hydrated, said, state, max }) {
  const { members, left, count, me, loading } = useEntered(useLingering(channel, hydrated), said, state);
  const now = useNow(5_000);
  if (loading) return <div className="rt-stack-avatars" />;
  const present = [...members].sort(byLiveliness);
  const shown = [...present.slice(0, max), ...left.slice(-Math.max(0, max - present.length))].slice(0, max);
  const more = count - Math.min(present.length, max);
  const unseen = present.slice(max).map(({ name }) => isolated(name));
  return (
    <ul className="rt-stack-avatars" aria-label={`${count} ${count === 1 ? "person" : "people"} here`}>
      {shown.map((member) => (
        <li key={member.person} title={wordsOn(member, me, now)} data-person={member.person} data-state={member.left_at ? "left" : member.state}>
          <Avatar member={member} />
          <span className="rt-sr">{wordsOn(member, me, now)}</span>
        </li>
      ))}
      {more > 0 && (
        <li className="rt-avatar rt-avatar-more" title={unseen.slice(0, 20).join(", ") + (more > 20 ? " …" : "")}>
          +{more}
          <span className="rt-sr">more people</span>
        </li>
      )}
    </ul>
  );
}

const listed = new Intl.ListFormat("en", { type: "conjunction" });

export function TypingLine({ channel, hydrated, said, state, field }) {
  const { members, me } = useEntered(useLingering(channel, hydrated), said, state);
  useTypingIn(field);
  const names = members.filter((member) => member.state === "typing" && member.person !== me).map(({ name }) => name);
  const several = names.length > 2;
  const who = listed.formatToParts(names).map(({ type, value }, index) => (type === "element" ? <bdi key={index}>{value}</bdi> : value));
  return (
    <p className="rt-typing" aria-live="off">
      {several && `${names.length} people are typing…`}
      {!several && names.length > 0 && <>{who} {names.length > 1 ? "are" : "is"} typing…</>}
    </p>
  );
}
