// A page with ably-js that has nothing but our address: `react_page.mjs PORT ADDRESS COOKIE TENANT`.
// Prints what it heard, and with which code it was refused elsewhere.
import * as Ably from 'ably';

const [port, address, cookie, tenant] = process.argv.slice(2);
const client = new Ably.Realtime({
  endpoint: '127.0.0.1', port: Number(port), tls: false, fallbackHosts: [], logLevel: 0,
  authCallback: async (_, done) => {
    const answer = await fetch(address, { headers: { cookie } }); // a browser sends its cookie by itself
    if (answer.ok) done(null, await answer.json());
    else done(`refused: ${answer.status}`, null);
  },
});
await client.connection.once('connected');
const prefix = client.auth.clientId.split(':')[0];
const own = client.channels.get(`${prefix}:project:abc123`);
const heard = new Promise((done) => own.subscribe('project.updated', (message) => done(message.data)));
await own.attach();
await own.publish('project.noted', { text: 'from page' });
await own.publish('Hello', 'plain');

async function code(promise) {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return error.code;
  }
}
const other = '00000000-0000-0000-0000-00000000dead';
const refused = {
  'another tenant': await code(client.channels.get(`${other}:project:abc123`).attach()),
  'another user': await code(client.channels.get(`${tenant}:user:${other}`).attach()),
  system: await code(client.channels.get(`${tenant}:system:health`).attach()),
  'post there': await code(client.channels.get(`${other}:project:x`).publish('a.b', {})),
};
console.log(JSON.stringify({ clientId: client.auth.clientId, heard: await heard, refused }));
client.close();
process.exit(0);
