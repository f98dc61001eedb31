/**
 * A page that keeps Ably's own client, and needs of us one address: no key of Ably's is in the browser.
 *
 * Takes the module `ably`, a project's id, what to show messages with, and options of `Ably.Realtime`.
 */
export async function open(Ably, projectId, show, options) {
  // region page
  const client = new Ably.Realtime({ authUrl: '/api/realtime/token', ...options });
  await client.connection.once('connected');
  const [tenant] = client.auth.clientId.split(':');
  const channel = client.channels.get(`${tenant}:project:${projectId}`);
  await channel.subscribe((message) => show(message.name, message.data));
  // endregion
  return { client, channel };
}
