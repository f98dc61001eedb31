/**
 * Heartbeats: the server beats once an interval for each channel type that the tab watches, and the tab answers.
 *
 * A beat is no message: nothing of it reaches a feed. What is known of a type ticks on while the socket is down.
 */
import { Store, addPart, ask, useStore } from "./connection.js";

const TICK_MS = 1_000;
const DEFAULT_TIMEOUT_MS = 90_000; // before the first beat says otherwise

class Pulse {
  constructor() {
    this.since = Date.now(); // of the last beat; before the first, of the moment when somebody began to look
    this.timeout = DEFAULT_TIMEOUT_MS;
    this.store = new Store({ last_beat: 0, elapsed: 0, timed_out: false, latency: null });
  }

  tick(change = {}) {
    const elapsed = Math.max(0, Date.now() - this.since);
    this.store.set({ ...change, elapsed, timed_out: elapsed > this.timeout });
  }

  async beat({ type, timeout, timestamp }) {
    this.since = Date.now();
    this.timeout = timeout;
    this.tick({ last_beat: timestamp });
    const begun = performance.now();
    try {
      await ask("beat", { type, timestamp });
      this.store.set({ latency: Math.round(performance.now() - begun) });
    } catch {
      // The connection's own events tell that it is gone.
    }
  }
}

const pulses = new Map();

const pulseOf = (type) => {
  if (!pulses.has(type)) pulses.set(type, new Pulse());
  return pulses.get(type);
};

addPart({
  wanted: () => false, // beats come with what the tab watches
  connected: () => {},
  paused: () => {},
  events: { beat: (beat) => pulseOf(beat.type).beat(beat) },
});

if (typeof window !== "undefined") setInterval(() => pulses.forEach((pulse) => pulse.tick()), TICK_MS);

/** What is known of the heartbeats of a channel's type. */
export const useHeartbeat = (channel) => useStore(pulseOf(String(channel ?? "").split(":")[0]).store);
