/** What people call a channel, live: its title, or else what the page knew of it. */
import { useTitles } from "$/public/external/realtime_ui/states/client_vars/titles.js";

export function ChannelTitle({ channel, initial }) {
  const title = useTitles([channel]).get(channel);
  if (title === undefined) return <h1>{initial}</h1>;
  return <h1>{title ?? channel.slice(channel.indexOf(":") + 1)}</h1>;
}
