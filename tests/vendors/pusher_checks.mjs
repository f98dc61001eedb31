// Checks of a server with the vendor's own client: `pusher_checks.mjs CHECK PORT KEY [ARGUMENT…]`.
// Prints one JSON value, and ends with an error when something is not as Pusher documents it.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import Pusher from 'pusher-js';

const [check, port, key, ...rest] = process.argv.slice(2);
const clients = [];

function client(more = {}) {
  const made = new Pusher(key, {
    cluster: '', wsHost: '127.0.0.1', wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'],
    disableStats: true, ...more,
  });
  clients.push(made);
  return made;
}
const event = (on, name) =>
  new Promise((done, fail) => {
    on.bind(name, done);
    setTimeout(() => fail(new Error(`waited for ${name}`)), 60000);
  });
const connected = (made) => (made.connection.state === 'connected' ? null : event(made.connection, 'connected'));
const sign = (secret, text) => createHmac('sha256', secret).update(text).digest('hex');
// an authorisation as a server with the secret would give it
function signed(secret, user) {
  return {
    customHandler: ({ socketId, channelName }, callback) => {
      const data = user && channelName.startsWith('presence-') ? JSON.stringify({ user_id: user }) : null;
      const auth = `${key}:${sign(secret, [socketId, channelName, data].filter(Boolean).join(':'))}`;
      callback(null, data ? { auth, channel_data: data } : { auth });
    },
  };
}

const checks = {
  // rest: secret. A program publishes on all three channels when this one says that it listens.
  async channels(secret) {
    const [ada, max] = ['ada', 'max'].map((user) => client({ channelAuthorization: signed(secret, user) }));
    const open = ada.subscribe('open');
    const hidden = ada.subscribe('private-hidden');
    await Promise.all([event(open, 'pusher:subscription_succeeded'), event(hidden, 'pusher:subscription_succeeded')]);
    const here = ada.subscribe('presence-room');
    await event(here, 'pusher:subscription_succeeded');
    assert.deepEqual(Object.keys(here.members.members), ['ada']);
    const added = event(here, 'pusher:member_added');
    const there = max.subscribe('presence-room');
    await event(there, 'pusher:subscription_succeeded');
    assert.equal((await added).id, 'max');
    assert.equal(there.members.count, 2);

    const heard = new Promise((done) => here.bind('client-typing', (data, { user_id }) => done([data, user_id])));
    assert(there.trigger('client-typing', { on: true }));
    assert.deepEqual(await heard, [{ on: true }, 'max']);

    const removed = event(here, 'pusher:member_removed');
    max.disconnect();
    assert.equal((await removed).id, 'max');
    const news = [event(open, 'news'), event(hidden, 'news'), event(here, 'news')];
    console.error('listening');
    return Promise.all(news);
  },

  async wrong_signature() {
    const channel = client({ channelAuthorization: signed('another secret') }).subscribe('private-hidden');
    return (await event(channel, 'pusher:subscription_error')).status;
  },

  async wrong_key() {
    const told = await event(client().connection, 'error');
    return (told.error ?? told).data.code;
  },

  // rest: the token route, what shows who asks (a browser sends its cookie), a channel of its tenant, one of another
  async granted(endpoint, authorization, own, other) {
    const made = client({ channelAuthorization: { endpoint, headers: { authorization } } });
    await connected(made);
    const [mine, theirs] = [made.subscribe(own), made.subscribe(other)];
    const refused = event(theirs, 'pusher:subscription_error');
    await event(mine, 'pusher:subscription_succeeded');
    assert.equal((await refused).status, 403);
    assert(!theirs.subscribed);
    const present = made.subscribe(own.replace('private-', 'presence-'));
    await event(present, 'pusher:subscription_succeeded');
    assert.equal(present.members.count, 1);
    assert(present.members.me.id);
    const news = event(mine, 'project.updated');
    mine.trigger('client-project.noted', { from: 'page' });
    return news;
  },
};

const result = await checks[check](...rest);
clients.forEach((each) => each.disconnect());
console.log(JSON.stringify(result ?? null));
process.exit(0);
