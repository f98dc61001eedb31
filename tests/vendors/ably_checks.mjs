// Checks of a server with the vendor's own client: `ably_checks.mjs CHECK PORT KEY BINARY [ARGUMENT]`.
// Prints one JSON value, and ends with an error when something is not as Ably documents it.
import assert from 'node:assert/strict';
import * as Ably from 'ably';

const [check, port, key, binary, argument] = process.argv.slice(2);
const clients = [];

function options(more) {
  return {
    endpoint: '127.0.0.1', port: Number(port), tls: false, useBinaryProtocol: binary === 'true',
    fallbackHosts: [], disconnectedRetryTimeout: 200, logLevel: 0, ...more,
  };
}
function realtime(more = {}) {
  const client = new Ably.Realtime(options(more.authCallback || more.authUrl ? more : { key, ...more }));
  clients.push(client);
  return client;
}
// token auth with a client over plain HTTP: the REST half takes no key there
function rest(more = {}) {
  return new Ably.Rest(options({ key, useTokenAuth: true, ...more }));
}
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
async function until(condition, what, ms = 30000) {
  for (const end = Date.now() + ms; !(await condition()); await sleep(10)) assert(Date.now() < end, `waited for ${what}`);
}
async function refused(promise, code) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code);
    return true;
  });
}
async function control(fault, body = {}) {
  const response = await fetch(`http://127.0.0.1:${port}/control/${fault}`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(response.status, 200);
}

const checks = {
  async messages() {
    const [a, b] = [realtime(), realtime()];
    const heard = [];
    await b.channels.get('m').subscribe((message) => heard.push(message));
    const channel = a.channels.get('m');
    await channel.publish('text', 'äöü €');
    await channel.publish('object', { nested: [1, null, true] });
    await channel.publish('binary', Buffer.from([0, 1, 254, 255]));
    await channel.publish({ name: 'extra', data: null, extras: { headers: { seq: '7' } } });
    await until(() => heard.length === 4, 'four messages');
    assert.deepEqual(heard.map((each) => each.name), ['text', 'object', 'binary', 'extra']);
    assert.equal(heard[0].data, 'äöü €');
    assert.deepEqual(heard[1].data, { nested: [1, null, true] });
    assert.deepEqual([...new Uint8Array(heard[2].data)], [0, 1, 254, 255]);
    assert.equal(heard[3].extras.headers.seq, '7');
    assert(heard.every((each) => each.id && each.timestamp > 0 && each.connectionId === a.connection.id));
    await refused(channel.publish('large', 'x'.repeat(66_000)), 40009);
    await a.connection.ping();
  },

  async identities() {
    const a = realtime();
    const heard = [];
    const channel = a.channels.get('ids');
    await channel.subscribe((message) => heard.push(message.id));
    for (const _ of [1, 2]) await channel.publish({ id: 'once', name: 'n', data: 1 + '' });
    for (const _ of [1, 2]) await channel.publish([{ id: 'b:0', name: 'n' }, { id: 'b:1', name: 'n' }]);
    await channel.publish('last', '');
    await until(() => heard.length === 4, 'no message twice');
    assert.deepEqual(heard.slice(0, 3), ['once', 'b:0', 'b:1']);
    await refused(channel.publish([{ id: 'one', name: 'n' }, { id: 'two', name: 'n' }]), 40031);
  },

  async echo() {
    const [a, b] = [realtime({ echoMessages: false }), realtime()];
    const own = [], other = [];
    await a.channels.get('e').subscribe((message) => own.push(message.data));
    await b.channels.get('e').subscribe((message) => other.push(message.data));
    await a.channels.get('e').publish('n', 'mine');
    await b.channels.get('e').publish('n', 'yours');
    await until(() => own.length === 1 && other.length === 2, 'both');
    assert.deepEqual([own, other], [['yours'], ['mine', 'yours']]);
  },

  async presence() {
    const names = Array.from({ length: 45 }, (_, index) => `p${index}`);
    const many = realtime({ useTokenAuth: true, defaultTokenParams: { clientId: '*' } });
    const channel = many.channels.get('p');
    await Promise.all(names.map((name) => channel.presence.enterClient(name, { name })));
    const b = realtime({ clientId: 'watcher' });
    const changes = [];
    await b.channels.get('p').attach();
    const members = await b.channels.get('p').presence.get();
    assert.deepEqual(members.map((member) => member.clientId).sort(), [...names].sort());
    await b.channels.get('p').presence.subscribe((change) => changes.push([change.action, change.clientId, change.data]));
    await channel.presence.updateClient('p1', 'new');
    await channel.presence.leaveClient('p2');
    await b.channels.get('p').presence.enter('me');
    await until(() => changes.length >= 3, 'changes');
    assert.deepEqual(changes.slice(-3), [['update', 'p1', 'new'], ['leave', 'p2', { name: 'p2' }], ['enter', 'watcher', 'me']]);
    many.close();
    await until(async () => (await b.channels.get('p').presence.get()).length === 1, 'all leave with their connection');
    await refused(realtime({ clientId: 'x' }).channels.get('p').presence.enterClient('y'), 40012);
  },

  async tokens() {
    const signer = rest();
    let asked = 0;
    const a = realtime({
      authCallback: async (params, done) => {
        asked += 1;
        done(null, await signer.auth.createTokenRequest({ clientId: 'ada', ttl: 1500, capability: { 'ok:*': ['subscribe'] } }));
      },
    });
    await a.connection.once('connected');
    assert.equal(a.auth.clientId, 'ada');
    await a.channels.get('ok:1').attach();
    await refused(a.channels.get('no:1').attach(), 40160);
    await refused(a.channels.get('ok:1').publish('n', 'd'), 40160);
    await refused(a.channels.get('ok:1').presence.enter(), 40160);
    await sleep(3500); // over two ends of its token
    await until(() => a.connection.state === 'connected', 'renewed');
    assert(asked >= 3, `asked for ${asked} tokens`);
    const forged = await signer.auth.createTokenRequest({ clientId: 'ada' });
    await refused(signer.auth.requestToken(null, { authCallback: (_, done) => done(null, { ...forged, clientId: 'max' }) }), 40101);
    // an update of the capability on the open connection
    await control('expire_tokens');
    await until(() => a.connection.state === 'connected', 'renewed at once');
  },

  async credentials() {
    for (const [wrong, code] of [['app.key:wrong', 40101], ['app.other:secret', 40400], ['nonsense:x', 40005]]) {
      const client = realtime({ key: wrong });
      const change = await client.connection.once('failed');
      assert.equal(change.reason.code, code);
    }
  },

  async resume() {
    const [a, b] = [realtime(), realtime()];
    const heard = [];
    const channel = a.channels.get('r');
    await channel.subscribe((message) => heard.push(message.data));
    const { id } = a.connection;
    await b.channels.get('r').attach();
    const updates = [];
    channel.on((change) => updates.push([change.current, change.resumed]));
    const back = b.connection.once('connected');
    await control('drop_connections');
    await back;
    await rest().channels.get('r').publish('n', 'missed');
    await b.channels.get('r').publish('n', 'after');
    await until(() => heard.length === 2 && a.connection.state === 'connected', 'what was missed');
    assert.deepEqual(heard, ['missed', 'after']);
    assert.equal(a.connection.id, id);
    assert(!updates.some(([current, resumed]) => current === 'attached' && !resumed), 'nothing was lost');
    await control('forget');
    await control('drop_connections');
    await until(() => updates.some(([current, resumed]) => current === 'attached' && !resumed), 'lost continuity');
    assert.notEqual(a.connection.id, id);
  },

  async history() {
    const a = realtime();
    const channel = a.channels.get('h');
    for (let number = 0; number < 25; number += 1) await channel.publish('n', String(number));
    const found = [];
    let page = await rest().channels.get('h').history({ direction: 'forwards', limit: 10 });
    for (let pages = 1; page; pages += 1) {
      found.push(...page.items.map((item) => item.data));
      page = page.hasNext() ? await page.next() : null;
      assert(pages <= 3);
    }
    assert.deepEqual(found, Array.from({ length: 25 }, (_, number) => String(number)));
    const late = realtime();
    const behind = late.channels.get('h');
    await behind.attach();
    await channel.publish('n', 'after');
    const before = await behind.history({ untilAttach: true, limit: 100 });
    assert.equal(before.items.length, 25);
    const rewound = [];
    await realtime().channels.get('h', { params: { rewind: '2' } }).subscribe((message) => rewound.push(message.data));
    await until(() => rewound.length === 2, 'the last two');
    assert.deepEqual(rewound, ['24', 'after']);
    assert(Math.abs((await rest().time()) - Date.now()) < 5000);
  },

  // The other side is another client: it says `ping`, we answer `pong` with what we heard, it says `end`.
  async crosstalk() {
    const a = realtime({ clientId: 'js' });
    const channel = a.channels.get(argument);
    const heard = [], present = [];
    await channel.presence.subscribe((member) => present.push([member.action, member.clientId, member.data]));
    await channel.subscribe((message) => message.clientId !== 'js' && heard.push(message));
    await channel.presence.enter({ from: 'js' });
    await until(() => heard.length, 'ping');
    const { id, name, data, clientId, extras } = heard[0];
    await channel.publish({ id: 'pong-1', name: 'pong', data: { id, name, data, clientId, headers: extras.headers } });
    await channel.publish('bytes', Buffer.from([0, 255]));
    await until(() => heard.length === 2, 'the end');
    assert.equal(heard[1].name, 'end');
    console.log(JSON.stringify(present.filter(([, who]) => who !== 'js')));
  },

  // What somebody may do with what the app signed, which it gives at the address `argument`.
  async granted() {
    const a = realtime({ authUrl: argument });
    await a.connection.once('connected');
    const mine = a.channels.get('t:project:mine'), open = a.channels.get('t:open:any');
    const heard = [];
    await mine.subscribe((message) => heard.push(message.name));
    await open.attach();
    await open.publish('may', '');
    await mine.history();
    await open.presence.enter();
    await refused(mine.publish('may not', ''), 40160);
    await refused(a.channels.get('t:project:other').attach(), 40160);
    await refused(a.channels.get('t:project:third').publish('n', ''), 40160);
    await refused(a.channels.get('other:open:any').attach(), 40160);
    await refused(a.channels.get('t:project:other').history(), 40160);
    const first = a.auth.tokenDetails.token;
    await until(() => a.connection.state === 'connected' && (a.auth.tokenDetails?.token ?? first) !== first, 'another token');
    await until(() => heard.includes('after'), 'a message after it');
    console.log(JSON.stringify({ clientId: a.auth.clientId }));
  },
};

await checks[check]();
for (const client of clients) client.close();
await sleep(50);
process.exit(0);
