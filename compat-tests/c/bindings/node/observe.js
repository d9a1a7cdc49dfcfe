// The npm package `zookeeper`, a C++ addon on libzookeeper_st, on whichever library it was started with. Prints a transcript:
// the same, whoever made the library. Arguments: the directory of modules, host:port.
'use strict';

const path = require('path');
const [modules, address] = process.argv.slice(2);
const ZooKeeper = require(path.join(modules, 'zookeeper'));

const say = (...words) => console.log(words.map((word) => JSON.stringify(word)).join(' '));
const client = new ZooKeeper({
  connect: address,
  timeout: 10000,
  debug_level: ZooKeeper.ZOO_LOG_LEVEL_ERROR,
  host_order_deterministic: true,
});

// What has neither times nor zxids in it.
const shape = (stat) => ({
  version: stat.version,
  cversion: stat.cversion,
  aversion: stat.aversion,
  children: stat.numChildren,
  length: stat.dataLength,
  ephemeral: Number(stat.ephemeralOwner) !== 0,
});

// A promise's value or its error.
async function attempt(what, promise, show = (value) => value) {
  try {
    say(what, show(await promise));
  } catch (error) {
    say(what, String(error));
  }
}

// A watch: what it is armed with, and what is told once it fires.
function watched(arm) {
  let armed;
  const event = new Promise((resolve) => {
    armed = arm((type, state, where) => resolve([type, state, where]));
  });
  return armed.then((value) => ({ value, event }));
}

async function main() {
  await attempt('create', client.create('/node', 'one', ZooKeeper.ZOO_PERSISTENT));
  await attempt('create again', client.create('/node', 'one', ZooKeeper.ZOO_PERSISTENT));
  await attempt('a bad path', client.create('no', '', ZooKeeper.ZOO_PERSISTENT));
  await attempt('ephemeral', client.create('/node/e', '', ZooKeeper.ZOO_EPHEMERAL));
  await attempt('sequential', client.create('/node/s-', Buffer.from([0, 1, 255]), ZooKeeper.ZOO_EPHEMERAL | ZooKeeper.ZOO_SEQUENCE));
  await attempt('binary', client.get('/node/s-0000000001', false), ([stat, data]) => [shape(stat), data.toString('hex')]);
  await attempt('exists', client.exists('/node', false), shape);
  await attempt('no such', client.exists('/none', false), shape);
  await attempt('get none', client.get('/none', false));

  const data = await watched((tell) => client.w_get('/node', tell));
  say('watched', data.value[1].toString());
  const children = await watched((tell) => client.w_get_children('/node', tell));
  say('children', [...children.value].sort());
  const coming = await watched((tell) => client.w_exists('/node/later', tell).catch(() => {}));
  await attempt('set', client.set('/node', 'three', 0), shape);
  await attempt('wrong version', client.set('/node', 'four', 7));
  await attempt('later', client.create('/node/later', '', ZooKeeper.ZOO_PERSISTENT));
  for (const watch of [data, children, coming]) say('watch', ...(await watch.event));

  await attempt('children2', client.get_children2('/node', false), ([names, stat]) => [[...names].sort(), shape(stat)]);
  await attempt('acl', client.get_acl('/node'), ([acl]) => acl);
  await attempt('read only', client.set_acl('/node/later', 0, [{ perm: ZooKeeper.ZOO_PERM_READ, scheme: 'world', auth: 'anyone' }]));
  await attempt('not allowed', client.set('/node/later', 'x', -1));
  await attempt('auth', new Promise((resolve) => client.add_auth('digest', 'u:p', resolve)));
  await attempt('config', client.getconfig(false), (config) => config.length);

  // Many under way at once, in order.
  const many = [];
  for (let i = 0; i < 200; i += 1) many.push(client.set('/node/e', String(i), i).then((stat) => stat.version));
  say('versions', (await Promise.all(many)).reduce((last, version) => (version === last + 1 ? version : NaN), 0));

  await attempt('not empty', client.delete_('/node', -1));
  for (const name of ['later', 's-0000000001', 'e', '']) await attempt(`delete ${name}`, client.delete_(path.posix.join('/node', name), -1));
  say('state', client.state);
  client.close();
}

const timer = setTimeout(() => {
  say('waited in vain');
  process.exit(1);
}, 60000);

client.once('connect', () => {
  say('connected', client.state, client.timeout);
  main().then(
    () => clearTimeout(timer),
    (error) => {
      say('failed', String(error));
      process.exit(1);
    },
  );
});
client.init({});
