/** A channel's subscription without anything to see. */
import { useHeldFeed, useLingering } from "$/public/external/realtime_ui/states/client_vars/feed_client.js";

export function Subscription({ channel: named, hydrated, rewind, state }) {
  useHeldFeed(useLingering(named, hydrated), rewind, state);
  return null;
}
