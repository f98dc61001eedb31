/** Says how the connection stands: connecting, connected, degraded, reconnecting, offline, refused. */
import "./realtime.css";
import { useEffect, useState } from "react";
import { useConnection } from "$/public/external/realtime_ui/states/client_vars/connection.js";

const PATIENCE_MS = 1_500; // a page that loads, or a blink of the network, needs no banner

const number = new Intl.NumberFormat();

const AWAY = {
  database: "The server cannot reach its database. What you see stays; new messages wait until it is back.",
  provider: "Messages between servers are slow for now; nothing is lost.",
};

const wordsFor = ({ status, online, error, degraded, caught_up }) => {
  if (!online) return ["offline", "You are offline. What you see stays; it catches up when the network is back."];
  if (status === "failed") return ["failed", error || "The connection was refused. Reload the page."];
  if (status === "disconnected") return ["reconnecting", "Reconnecting… Rows stay and catch up by themselves."];
  if (status === "connecting") return ["connecting", "Connecting…"];
  if (degraded.length) return ["degraded", AWAY[degraded[0]] ?? "A part of the server is away for now."];
  if (caught_up === 0) return ["caught-up", "Caught up: nothing was missed."];
  if (caught_up !== null) {
    return ["caught-up", `Caught up: ${number.format(caught_up)} ${caught_up === 1 ? "message" : "messages"}.`];
  }
  return ["connected", ""];
};

export function ConnectionBanner() {
  const connection = useConnection();
  const [kind, words] = wordsFor(connection);
  const [patient, setPatient] = useState(true);
  useEffect(() => {
    setPatient(true);
    const timer = setTimeout(() => setPatient(false), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [kind]);
  const hidden = kind === "connected" || (patient && (kind === "connecting" || kind === "reconnecting"));
  return (
    <div className="rt-banner" role="status" aria-live="polite" data-kind={kind} hidden={hidden}>
      {words}
      {kind === "failed" && (
        <a href="/sign-in" className="rt-banner-action">Sign in</a>
      )}
    </div>
  );
}

const NAMES = {
  connecting: "Connecting",
  connected: "Live",
  "caught-up": "Live",
  degraded: "Degraded",
  reconnecting: "Reconnecting",
  offline: "Offline",
  failed: "Refused",
};

export function ConnectionDot() {
  const connection = useConnection();
  const [kind] = wordsFor(connection);
  const latency = NAMES[kind] === "Live" && connection.latency !== null ? `Round trip ${connection.latency} ms` : NAMES[kind];
  return (
    <span className="rt-dot" data-kind={kind} title={latency}>
      {NAMES[kind]}
    </span>
  );
}
