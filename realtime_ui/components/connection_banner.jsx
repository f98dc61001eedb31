/** Says how the connection stands, what keeps it from standing well, and what a person can do. */
import "./realtime.css";
import { useEffect, useRef, useState } from "react";
import { useConnection } from "$/public/external/realtime_ui/states/client_vars/connection.js";

const PATIENCE_MS = 1_500; // a page that loads, or a blink of the network, needs no banner

const SPACE = "--rt-banner-space"; // read by the stylesheet
const MARGIN_PX = 12; // below the banner

const number = new Intl.NumberFormat();

const AWAY = {
  database: "The server cannot reach its database. What you see stays; new messages wait until it is back.",
  provider: "Messages between servers are slow for now; nothing is lost.",
  delivery: "The server is some seconds behind: new messages come late. Nothing is lost.",
};

const OBSTACLES = {
  sign_in_page: "A sign-in page of your network answers in place of this app. Reload to sign in there.",
  another_server: "Another server answers at the address of this app. Check the address, or ask whoever runs it.",
  no_websockets:
    "This network blocks WebSockets, which live updates need. Try another network, or ask its administrator to allow them.",
};

const wordsFor = ({ status, is_answering, online, obstacle, error, degraded, late, caught_up }) => {
  if (status === "failed") return ["failed", error];
  if (status !== "connected") {
    if (obstacle) return [obstacle, OBSTACLES[obstacle]];
    if (!online) return ["offline", "You are offline. What you see stays; it catches up when the network is back."];
    if (status === "connecting") return ["connecting", "Connecting…"];
    return ["reconnecting", error || "Reconnecting… Rows stay and catch up by themselves."];
  }
  if (!is_answering) return ["unanswered", "The server is not answering. What you see may be out of date."];
  if (degraded.length) return ["degraded", AWAY[degraded[0]] ?? "A part of the server is away for now."];
  if (late) return ["late", `What comes in now was sent ${number.format(late)} s ago: this page or its network is behind.`];
  if (caught_up === 0) return ["caught-up", "Caught up: nothing was missed."];
  if (caught_up !== null) {
    return ["caught-up", `Caught up: ${number.format(caught_up)} ${caught_up === 1 ? "message" : "messages"}.`];
  }
  return ["connected", ""];
};

const SIGN_IN = "/sign-in";

/** Leads to where one signs in, and back from there; nowhere from the page where one does. */
function SignInLink() {
  const { pathname, search, hash } = window.location;
  if (pathname.replace(/\/$/, "") === SIGN_IN) return null;
  const address = `${SIGN_IN}?next=${encodeURIComponent(pathname + search + hash)}`;
  return <a href={address} className="rt-banner-action">Sign in</a>;
}

function Action({ name }) {
  if (name === "sign_in") return <SignInLink />;
  return (
    <button type="button" className="rt-banner-action" onClick={() => window.location.reload()}>
      Reload
    </button>
  );
}

/** Tells the stylesheet how much of the window's lower edge the banner covers, so that the page ends above it. */
function useSpaceFor(box) {
  useEffect(() => {
    const { style } = document.documentElement;
    const observer = new ResizeObserver(() => {
      const height = box.current?.offsetHeight;
      style.setProperty(SPACE, height ? `${height + MARGIN_PX}px` : "0px");
    });
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      style.removeProperty(SPACE);
    };
  }, [box]);
}

export function ConnectionBanner() {
  const connection = useConnection();
  const [kind, words] = wordsFor(connection);
  const action = kind === "failed" ? connection.action : kind === "sign_in_page" ? "reload" : "";
  const [patient, setPatient] = useState(true);
  useEffect(() => {
    setPatient(true);
    const timer = setTimeout(() => setPatient(false), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [kind]);
  const hidden = kind === "connected" || (patient && (kind === "connecting" || kind === "reconnecting"));
  const box = useRef(null);
  useSpaceFor(box);
  return (
    <div ref={box} className="rt-banner" role="status" aria-live="polite" data-kind={kind} hidden={hidden}>
      {words}
      {action && <Action name={action} />}
    </div>
  );
}

const NAMES = {
  connecting: "Connecting",
  connected: "Live",
  "caught-up": "Live",
  degraded: "Degraded",
  late: "Behind",
  reconnecting: "Reconnecting",
  offline: "Offline",
  failed: "Closed",
  unanswered: "Not answering",
  sign_in_page: "Sign-in needed",
  another_server: "Not reached",
  no_websockets: "Blocked",
};

/** `hydrated`: whether the page has its data; before, nothing on it is live. */
export function ConnectionDot({ hydrated }) {
  const connection = useConnection();
  const [stands] = wordsFor(connection);
  const kind = NAMES[stands] === "Live" && !hydrated ? "connecting" : stands;
  const latency = NAMES[kind] === "Live" && connection.latency !== null ? `Round trip ${connection.latency} ms` : NAMES[kind];
  return (
    <span className="rt-dot" data-kind={kind} title={latency}>
      {NAMES[kind]}
    </span>
  );
}
