// node-zookeeper-client, used as its users use it.
//
// Usage: node observe.js host:port. Prints a transcript of what it saw; the runner compares the one made against Java
// with the one made against Oxkeeper. A line "@stop" or "@start" on the output asks the runner to stop or start the
// server; the answer is one line on the input. Times and session ids stay out of the transcript.
'use strict';

const readline = require('readline');
const { promisify } = require('util');
const zookeeper = require('node-zookeeper-client');

const DEADLINE_MS = 60000;
const hostPort = process.argv[2];
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const say = (line) => process.stdout.write(line + '\n');

async function ask(wish) {
  say('@' + wish);
  if ((await answers.next()).done) throw new Error('the runner is gone');
}

function check(holds, what) {
  if (!holds) throw new Error(what);
}

const number = (buffer) => Number(buffer.readBigInt64BE(0));

function show(value) {
  if (value === undefined || value === null) return 'nothing';
  if (Buffer.isBuffer(value)) return value.toString();
  if (Array.isArray(value)) return '[' + value.map(show).sort().join(', ') + ']';
  if (value.czxid) {
    return `c${number(value.czxid)} m${number(value.mzxid)} p${number(value.pzxid)} v${value.version} cv${value.cversion} ` +
      `av${value.aversion} len${value.dataLength} kids${value.numChildren} ` +
      `owner ${number(value.ephemeralOwner) === 0 ? 'none' : 'a session'}`;
  }
  if (value.permission !== undefined) return `${value.permission} ${value.id.scheme}:${value.id.id}`;
  return String(value);
}

/** Runs one call of a client and says what came of it. */
function tell(what, client, method, ...args) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer: ' + what)), DEADLINE_MS);
    client[method](...args, (error, ...values) => {
      clearTimeout(timer);
      say(`${what} -> ` + (error ? error.getName ? error.getName() : error.message : values.map(show).join(' ')));
      resolve(values);
    });
  });
}

/** Events in the order they came. */
class Events {
  constructor() {
    this.queue = [];
    this.waiting = [];
    this.add = (event) => {
      const text = event.getPath ? `${event.getName()} ${event.getPath()}` : event.getName();
      if (this.waiting.length > 0) this.waiting.shift()(text);
      else this.queue.push(text);
    };
  }

  next() {
    if (this.queue.length > 0) return Promise.resolve(this.queue.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no event')), DEADLINE_MS);
      this.waiting.push((text) => { clearTimeout(timer); resolve(text); });
    });
  }

  async expect(wanted) {
    const event = await this.next();
    check(event === wanted, `event ${event} in place of ${wanted}`);
    say('event ' + event);
  }

  async until(wanted) {
    while (await this.next() !== wanted);
  }
}

async function connect(chroot = '') {
  const client = zookeeper.createClient(hostPort + chroot, { sessionTimeout: 30000 });
  const states = new Events();
  client.on('state', states.add);
  client.connect();
  await states.until('SYNC_CONNECTED');
  return [client, states];
}

async function plain(client) {
  say('== plain calls');
  const modes = zookeeper.CreateMode;
  await tell('create', client, 'create', '/j', Buffer.from('one'));
  await tell('create again', client, 'create', '/j', Buffer.from('one'));
  await tell('create below nothing', client, 'create', '/none/x');
  for (const mode of Object.keys(modes).filter((name) => typeof modes[name] === 'number')) {
    await tell('create ' + mode, client, 'create', '/j/' + mode + '-', Buffer.from('x'), modes[mode]);
  }
  await tell('mkdirp', client, 'mkdirp', '/j/a/b/c');
  await tell('below an ephemeral', client, 'create', '/j/EPHEMERAL-/x');
  await tell('exists', client, 'exists', '/j/a');
  await tell('exists not', client, 'exists', '/none');
  await tell('get', client, 'getData', '/j');
  await tell('get of nothing', client, 'getData', '/none');
  await tell('set', client, 'setData', '/j', Buffer.from('two'), 0);
  await tell('set wrong version', client, 'setData', '/j', Buffer.from('two'), 0);
  await tell('children', client, 'getChildren', '/j');
  await tell('children of nothing', client, 'getChildren', '/none');
  await tell('tree', client, 'listSubTreeBFS', '/j');
  await tell('remove a parent', client, 'remove', '/j');
  await tell('remove wrong version', client, 'remove', '/j/a/b/c', 3);
  await tell('remove', client, 'remove', '/j/a/b/c', 0);
  await tell('remove nothing', client, 'remove', '/j/a/b/c');
  // The library removes a deep tree in an order that depends on the server's lists; a flat one it removes whole.
  await tell('remove', client, 'remove', '/j/a/b');
  await tell('remove', client, 'remove', '/j/a');
  await tell('remove all', client, 'removeRecursive', '/j');
  await tell('gone', client, 'exists', '/j');
  const create = promisify(client.create).bind(client);
  const big = Buffer.alloc(900000, 'b');
  await create('/big', big);
  check((await promisify(client.getData).bind(client)('/big')).equals(big), 'a large node comes back');
  await tell('remove', client, 'remove', '/big');
  const order = [];
  await Promise.all(Array.from({ length: 200 }, (_, i) => create(`/n${i}`, Buffer.from(`${i}`)).then(() => order.push(i))));
  say('in order ' + order.every((value, index) => value === index));
  for (let i = 0; i < 200; i++) await promisify(client.remove).bind(client)(`/n${i}`, 0);
}

async function accessControl(client, other) {
  say('== access control');
  const { ACL, Id, Permission } = zookeeper;
  const joe = new ACL(Permission.ALL, new Id('digest', 'joe:oesAybBun9icKJjQSTRN8OBueSc='));
  await tell('create for joe', client, 'create', '/acl', Buffer.from('1'), [joe]);
  await tell('get as anyone', client, 'getData', '/acl');
  client.addAuthInfo('digest', Buffer.from('joe:secret'));
  await tell('get as joe', client, 'getData', '/acl');
  await tell('acl', client, 'getACL', '/acl');
  await tell('set acl', client, 'setACL', '/acl', ACL.CREATOR_ALL_ACL.concat(ACL.READ_ACL_UNSAFE), 0);
  await tell('acl', client, 'getACL', '/acl');
  await tell('get as another', other, 'getData', '/acl');
  await tell('set as another', other, 'setData', '/acl', Buffer.from('2'));
  await tell('acl as another', other, 'getACL', '/acl');
  await tell('invalid acl', client, 'create', '/acl2', [new ACL(31, new Id('nobody', 'x'))]);
  await tell('remove', client, 'remove', '/acl');
}

async function transactions(client) {
  say('== transactions');
  const commit = (what, transaction) => new Promise((resolve) => transaction.commit((error, results) => {
    say(`${what} -> ${error ? error.getName() : 'done'} ` + (results || []).map((result) =>
      [result.type, result.err, result.path || '', result.stat ? show(result.stat) : ''].join(' ').trim()).join(', '));
    resolve();
  }));
  await commit('all kinds', client.transaction().create('/t', Buffer.from('1')).check('/t', 0)
    .setData('/t', Buffer.from('2'), 0).create('/t/x').remove('/t/x', 0));
  await commit('fails', client.transaction().create('/t/y').check('/t', 9).remove('/t'));
  await tell('nothing done', client, 'getChildren', '/t');
  await tell('remove', client, 'remove', '/t', 1);
}

async function watches(client, other) {
  say('== watches');
  const events = new Events();
  await tell('exists', client, 'exists', '/w', events.add);
  await tell('create', other, 'create', '/w');
  await events.expect('NODE_CREATED /w');
  await tell('get', client, 'getData', '/w', events.add);
  await tell('set', other, 'setData', '/w', Buffer.from('1'));
  await events.expect('NODE_DATA_CHANGED /w');
  await tell('children', client, 'getChildren', '/w', events.add);
  await tell('create', other, 'create', '/w/c');
  await events.expect('NODE_CHILDREN_CHANGED /w');
  await tell('get', client, 'getData', '/w/c', events.add);
  await tell('remove', other, 'remove', '/w/c');
  await events.expect('NODE_DELETED /w/c');
  await tell('remove', other, 'remove', '/w');
}

async function chroot(client) {
  say('== chroot');
  await tell('create', client, 'create', '/jail');
  const [inmate, states] = await connect('/jail');
  await tell('create', inmate, 'create', '/cell');
  await tell('children', inmate, 'getChildren', '/');
  inmate.close();
  await states.until('DISCONNECTED');
  await tell('remove', client, 'removeRecursive', '/jail');
}

async function restart(client, states, other) {
  say('== restart');
  const events = new Events();
  await tell('create', client, 'create', '/r', Buffer.from('1'));
  await tell('ephemeral', client, 'create', '/r/e', zookeeper.CreateMode.EPHEMERAL);
  await tell('get', client, 'getData', '/r', events.add);
  await tell('children', client, 'getChildren', '/r', events.add);
  const session = client.getSessionId().toString('hex');
  const otherStates = new Events();
  other.on('state', otherStates.add);
  await ask('stop');
  await states.until('DISCONNECTED');
  await otherStates.until('DISCONNECTED');
  await ask('start');
  await states.until('SYNC_CONNECTED');
  await otherStates.until('SYNC_CONNECTED');
  say('same session ' + (client.getSessionId().toString('hex') === session));
  await tell('ephemeral', other, 'exists', '/r/e');
  await tell('set', other, 'setData', '/r', Buffer.from('2'), 0);
  await events.expect('NODE_DATA_CHANGED /r');
  await tell('sequence', other, 'create', '/r/s-', zookeeper.CreateMode.PERSISTENT_SEQUENTIAL);
  await events.expect('NODE_CHILDREN_CHANGED /r');
  await tell('remove', client, 'removeRecursive', '/r');
}

async function main() {
  const [client, states] = await connect();
  const [other] = await connect();
  say(`connected, timeout ${client.getSessionTimeout()}`);
  await plain(client);
  await accessControl(client, other);
  await transactions(client);
  await watches(client, other);
  await chroot(client);
  await restart(client, states, other);
  client.close();
  other.close();
  await states.until('DISCONNECTED');
  say('closed');
}

main().then(() => process.exit(0), (error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
