/** A React page that keeps Ably's own client and hooks, and needs of us one address: no key of Ably's is in the browser. */
import { useEffect, useState } from 'react';
import * as Ably from 'ably';
import { AblyProvider, ChannelProvider, useChannel } from 'ably/react';

// region page
export function connect(options) {
  return new Ably.Realtime({ authUrl: '/api/realtime/token', ...options });
}

export function Page({ client, projectId }) {
  const [tenant, setTenant] = useState('');
  useEffect(() => {
    client.connection.whenState('connected').then(() => setTenant(client.auth.clientId.split(':')[0]));
  }, [client]);
  if (!tenant) return <p>Connecting…</p>;
  const name = `${tenant}:project:${projectId}`;
  return (
    <AblyProvider client={client}>
      <ChannelProvider channelName={name}>
        <Project name={name} />
      </ChannelProvider>
    </AblyProvider>
  );
}

function Project({ name }) {
  const [messages, setMessages] = useState([]);
  const { channel } = useChannel(name, (message) => setMessages((before) => [...before, message]));
  return (
    <>
      <button onClick={() => channel.publish('project.noted', { text: 'from page' })}>Note</button>
      <ul>{messages.map(({ id, name, data }) => <li key={id}>{name}: {JSON.stringify(data)}</li>)}</ul>
    </>
  );
}
// endregion
