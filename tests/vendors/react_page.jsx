// The React page of the migration guide, on our address alone: `react_page.jsx PORT ADDRESS COOKIE TENANT`.
// Prints what it showed, and with which code it was refused elsewhere.
import { Window } from 'happy-dom';

globalThis.window = new Window();
globalThis.document = window.document;
const { createRoot } = await import('react-dom/client');
const { connect, Page } = await import('../../examples/migration/ably_page.jsx');

const [port, address, cookie, tenant] = process.argv.slice(2);
const client = connect({
  endpoint: '127.0.0.1', port: Number(port), tls: false, fallbackHosts: [], logLevel: 0,
  authUrl: address, authHeaders: { cookie }, // a browser knows both by itself
});
document.body.innerHTML = '<main></main>';
const page = document.querySelector('main');
const root = createRoot(page);
root.render(<Page client={client} projectId="abc123" />);
const shown = async (words) => {
  while (!page.textContent.includes(words)) await new Promise((done) => setTimeout(done, 10));
};

await shown('Note');
await shown('project.updated');
page.querySelector('button').click();
await shown('project.noted');
const texts = [...page.querySelectorAll('li')].map((each) => each.textContent);

const channel = client.channels.get(`${tenant}:project:abc123`);
await channel.publish('Hello', 'plain');
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
console.log(JSON.stringify({ clientId: client.auth.clientId, shown: texts, refused }));
root.unmount();
client.close();
process.exit(0);
