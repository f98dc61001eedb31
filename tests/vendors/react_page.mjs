// A page with ably-js that has nothing but our address: `react_page.mjs PORT ADDRESS COOKIE TENANT`.
// Prints what it heard, and with which code it was refused elsewhere.
import * as Ably from 'ably';
import { open } from '../../examples/migration/ably_page.js';

const [port, address, cookie, tenant] = process.argv.slice(2);
const heard = {};
const { client, channel: own } = await open(Ably, 'abc123', (name, data) => { heard[name] ??= data; }, {
  endpoint: '127.0.0.1', port: Number(port), tls: false, fallbackHosts: [], logLevel: 0,
  authUrl: address, authHeaders: { cookie }, // a browser knows both by itself
});
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
while (!heard['project.updated']) await new Promise((done) => setTimeout(done, 10));
console.log(JSON.stringify({ clientId: client.auth.clientId, heard: heard['project.updated'], refused }));
client.close();
process.exit(0);
