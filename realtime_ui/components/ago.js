/** Relative times that keep running, by the server's clock. */
import { useEffect, useState } from "react";
import { serverNow } from "$/public/external/realtime_ui/states/client_vars/server_time.js";

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
];

/** How long ago a time in ms since the Unix epoch was, in words. */
export const ago = (time, now) => {
  if (!time) return "never";
  const past = Math.max(0, now - time);
  if (past < 5_000) return "just now";
  const [unit, size] = UNITS.find(([, ms]) => past >= ms);
  return relative.format(-Math.floor(past / size), unit);
};

/** The server's time, anew every `intervalMs`. */
export const useNow = (intervalMs) => {
  const [now, setNow] = useState(() => serverNow());
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), intervalMs);
    return () => clearInterval(timer);
  }, [intervalMs]);
  return now;
};
