/** Everybody online in the tenant, by person and by channel, live. */
import "./realtime.css";
import { useState } from "react";
import { Link } from "react-router";
import { ago, useNow } from "./ago.js";
import { isolated } from "./isolated.js";
import { Avatar, byLiveliness, tabsOf } from "./presence.jsx";
import { useRoster } from "$/public/external/realtime_ui/states/client_vars/presence.js";
import { useTitles } from "$/public/external/realtime_ui/states/client_vars/titles.js";

const ELSEWHERE = "Elsewhere in the app";
const number = new Intl.NumberFormat();
const people = (count) => `${number.format(count)} ${count === 1 ? "person" : "people"}`;
const unique = (values) => [...new Set(values.filter(Boolean))];

const SORTS = {
  liveliness: { label: "Most lively first", compare: byLiveliness },
  name: { label: "By name", compare: (a, b) => a.name.localeCompare(b.name) },
  since: { label: "Longest here first", compare: (a, b) => a.since - b.since },
  tabs: { label: "Most tabs first", compare: (a, b) => b.tabs - a.tabs || a.name.localeCompare(b.name) },
};

const place = (channel, titles, routes) => {
  const [kind, ...rest] = channel.split(":");
  const id = rest.join(":");
  return { kind, title: titles.get(channel) ?? id, href: routes[kind]?.replace("{id}", encodeURIComponent(id)) };
};

function Place({ channel, titles, routes }) {
  if (!channel) return <span className="rt-elsewhere">{ELSEWHERE}</span>;
  const { kind, title, href } = place(channel, titles, routes);
  const body = (
    <>
      <span className="rt-kind" data-kind={kind}>{kind}</span>
      <span className="rt-place-title">{title}</span>
    </>
  );
  return href ? <Link className="rt-place" to={href}>{body}</Link> : <span className="rt-place">{body}</span>;
}

/** One person: who, how they are, where, with what, since when. */
function Row({ member, metas, since, me, now, children }) {
  const state = member.left_at ? "left" : member.state;
  const devices = unique(metas.map(({ device }) => device)).join(", ");
  return (
    <li className="rt-member" data-person={member.person} data-state={state}>
      <Avatar member={member} />
      <span className="rt-member-name">
        <bdi>{member.name}</bdi>
        {member.person === me && <small>you</small>}
      </span>
      <span className="rt-member-state">{state}</span>
      {children}
      <span className="rt-member-with" title={unique(metas.map(({ browser }) => isolated(browser))).join(", ")}>{devices}</span>
      <span className="rt-count rt-member-tabs">{member.left_at ? "" : tabsOf(metas.length < member.metas.length ? metas.length : member.tabs)}</span>
      <time
        className="rt-ago"
        title={new Date(member.left_at ?? since).toLocaleString()}
        dateTime={new Date(member.left_at ?? since).toISOString()}
      >
        {member.left_at ? `left ${ago(member.left_at, now)}` : ago(since, now)}
      </time>
    </li>
  );
}

function ByPerson({ members, me, now, titles, routes }) {
  return (
    <ul className="rt-members">
      {members.map((member) => (
        <Row key={member.person} member={member} metas={member.metas} since={member.since} me={me} now={now}>
          <span className="rt-places">
            {(unique(member.metas.map(({ channel }) => channel)).length
              ? unique(member.metas.map(({ channel }) => channel))
              : [""]
            ).map((channel) => (
              <Place key={channel} channel={channel} titles={titles} routes={routes} />
            ))}
          </span>
        </Row>
      ))}
    </ul>
  );
}

function ByChannel({ members, me, now, titles, routes }) {
  const groups = new Map();
  for (const member of members) {
    for (const channel of new Set(member.metas.map((meta) => meta.channel))) {
      groups.set(channel, [...(groups.get(channel) ?? []), member]);
    }
  }
  const named = (channel) => (channel ? place(channel, titles, routes).title : "\uffff"); // elsewhere comes last
  const channels = [...groups.keys()].sort((a, b) => named(a).localeCompare(named(b)));
  return channels.map((channel) => {
    const present = groups.get(channel).filter(({ left_at }) => !left_at).length;
    return (
      <section key={channel} className="rt-roster-channel" data-channel={channel}>
        <h2>
          <Place channel={channel} titles={titles} routes={routes} />
          <span className="rt-count">{people(present)}</span>
        </h2>
        <ul className="rt-members">
          {groups.get(channel).map((member) => {
            const metas = member.metas.filter((meta) => meta.channel === channel);
            const since = Math.min(...metas.map(({ entered }) => entered));
            return <Row key={member.person} member={member} metas={metas} since={since} me={me} now={now} />;
          })}
        </ul>
      </section>
    );
  });
}

export function PresenceRoster({ routes }) {
  const { members, left, count, me, loading, error } = useRoster();
  const titles = useTitles([...members, ...left].flatMap(({ metas }) => metas.map(({ channel }) => channel)));
  const [filter, setFilter] = useState("");
  const [view, setView] = useState("person");
  const [sort, setSort] = useState("liveliness");
  const now = useNow(1000);
  if (loading) return <p className={error ? "rt-problem" : "rt-empty"} role={error ? "alert" : undefined}>{error || "Loading…"}</p>;

  const words = filter.trim().toLowerCase();
  const matches = ({ name, metas, state }) =>
    [name, state, ...metas.flatMap(({ channel, device, browser }) => [channel, titles.get(channel), device, browser])]
      .join(" ")
      .toLowerCase()
      .includes(words);
  const shown = [
    ...members.filter(matches).sort(SORTS[sort].compare),
    ...left.filter(matches).sort((a, b) => b.left_at - a.left_at),
  ];
  const away = members.filter(({ state }) => state === "away").length;
  const View = view === "person" ? ByPerson : ByChannel;
  return (
    <section className="rt-channels rt-roster">
      <div className="rt-channels-head rt-roster-head">
        <h1>Presence</h1>
        <span className="rt-roster-count" data-count={count}>
          {people(count)} online{away > 0 && `, ${number.format(away)} away`}
        </span>
        <div className="rt-switch" role="group" aria-label="View">
          {["person", "channel"].map((each) => (
            <button key={each} type="button" aria-pressed={view === each} onClick={() => setView(each)}>
              By {each}
            </button>
          ))}
        </div>
        <select aria-label="Sort" value={sort} onChange={(event) => setSort(event.target.value)}>
          {Object.entries(SORTS).map(([name, { label }]) => <option key={name} value={name}>{label}</option>)}
        </select>
        <input
          type="search"
          placeholder="Filter"
          aria-label="Filter people"
          value={filter}
          onChange={(event) => setFilter(event.target.value)}
        />
      </div>
      {error && <p className="rt-problem" role="alert">{error}</p>}
      {count > members.length && (
        <p className="rt-kept">Showing {number.format(members.length)} of {people(count)}.</p>
      )}
      {shown.length === 0 && <p className="rt-empty">Nobody matches “{filter}”.</p>}
      <View members={shown} me={me} now={now} titles={titles} routes={routes} />
      {count === 1 && words === "" && (
        <p className="rt-empty">Nobody else is online. Whoever opens the app appears here at once.</p>
      )}
    </section>
  );
}
