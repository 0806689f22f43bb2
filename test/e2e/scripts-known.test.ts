/** EVALSHA finds a script that a client has shown once, on every shard, whatever the nodes have lost meanwhile. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { connect, encodeWords, type RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const SOURCE = "return {KEYS[1], redis.call('GET', KEYS[1]), ARGV[1]}";
const SHA = createHash('sha1').update(SOURCE).digest('hex');
const CLIENTS = 8;

function call(client: RespClient, key: string, name = 'EVALSHA'): Promise<string> {
  return say(client, name, SHA, '1', key, 'x');
}

function answer(key: string, value: string | null = null): string {
  const shown = value === null ? '$-1' : `$${value.length}\r\n${value}`;
  return `*3\r\n$${key.length}\r\n${key}\r\n${shown}\r\n$1\r\nx\r\n`;
}

async function flushNodes({ servers }: Deployment): Promise<void> {
  for (const { port } of servers) {
    const node = await connect(t, port);
    t.equal(await say(node, 'SCRIPT', 'FLUSH'), '+OK\r\n');
  }
}

t.test('what EVAL brought to one shard can be called on all', async (t) => {
  const deployment = await deploy(t, { workers: 1 });
  const [one, other] = [await connect(t, deployment.port), await connect(t, deployment.port)];
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  t.match(await call(one, keys[0] as string), /^-NOSCRIPT No matching script\./);
  await say(one, 'EVAL', SOURCE, '1', keys[0] as string, 'x');
  t.equal(await say(other, 'SCRIPT', 'EXISTS', SHA, 'f'.repeat(40), SHA.toUpperCase()), '*3\r\n:1\r\n:0\r\n:1\r\n');
  for (const key of keys) t.equal(await call(other, key), answer(key));
  for (const key of keys) t.equal(await call(other, key, 'EVALSHA_RO'), answer(key));
  const [first, second] = keys as [string, string];
  t.equal(await say(other, 'EVALSHA_RO', SHA, '2', first, second, 'x'), answer(first), 'gathered');
  t.equal(await say(one, 'SCRIPT', 'FLUSH'), '+OK\r\n');
  t.equal(await say(other, 'SCRIPT', 'EXISTS', SHA), '*1\r\n:0\r\n');
  for (const key of keys) t.match(await call(one, key), /^-NOSCRIPT/);
});

t.test('who comes to another worker, or after the nodes have lost it, calls what was loaded', async (t) => {
  const deployment = await deploy(t);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(t, deployment.port)));
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  t.equal(await say(clients[0] as RespClient, 'SCRIPT', 'LOAD', SOURCE), `$40\r\n${SHA}\r\n`);
  const callAll = async (what: string) => {
    for (const [number, client] of clients.entries()) {
      for (const key of keys) t.equal(await call(client, key), answer(key), `${what}, client ${number}`);
    }
  };
  await callAll('loaded');
  await flushNodes(deployment);
  await callAll('flushed');
  await flushNodes(deployment);
  for (const client of clients) {
    await say(client, 'MULTI');
    for (const name of ['EVALSHA', 'EVALSHA_RO']) await call(client, keys[1] as string, name);
    const reply = answer(keys[1] as string);
    t.equal(await say(client, 'EXEC'), `*2\r\n${reply}${reply}`, 'in a transaction');
  }
  const [server] = deployment.servers;
  await server?.kill9();
  await server?.restart();
  const set = (client: RespClient) => say(client, 'SET', keys[0] as string, '1');
  for (const client of clients) await waitFor('the node', async () => (await set(client)) === '+OK\r\n');
  for (const client of clients) t.equal(await call(client, keys[0] as string), answer(keys[0] as string, '1'));
});

t.test('what EVAL brought to one worker the others hear of, but not what no node takes', async (t) => {
  const deployment = await deploy(t);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(t, deployment.port)));
  const [one] = clients as [RespClient];
  const key = deployment.key(0);
  await say(one, 'EVAL', SOURCE, '1', key, 'x');
  for (const client of clients) {
    await waitFor('the script to be known', async () => (await call(client, key)) === answer(key));
    t.equal(await call(client, deployment.key(1)), answer(deployment.key(1)));
  }
  const wrong = 'return (';
  const sha = createHash('sha1').update(wrong).digest('hex');
  t.match(await say(one, 'EVAL', wrong, '0'), /^-ERR Error compiling script/);
  t.equal(await say(one, 'SCRIPT', 'EXISTS', sha), '*1\r\n:0\r\n');
  t.match(await say(one, 'EVALSHA', sha, '0'), /^-NOSCRIPT/);
  t.match(await say(one, 'SCRIPT', 'FLUSH', 'NONSENSE'), /^-ERR/);
  t.equal(await say(one, 'SCRIPT', 'EXISTS', SHA), '*1\r\n:1\r\n', 'what was refused has forgotten nothing');
});

t.test('what EVAL brought to one worker is called at all others at once', async (t) => {
  const deployment = await deploy(t);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(t, deployment.port)));
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  for (let round = 0; round < 40; round++) {
    const [one, ...others] = [...clients.slice(round % CLIENTS), ...clients.slice(0, round % CLIENTS)];
    const sources = [`return ${round}`, `return -${round + 1}`] as const;
    const [sha, loaded] = sources.map((source) => createHash('sha1').update(source).digest('hex')) as [string, string];
    t.equal(await say(one as RespClient, 'EVAL', sources[0], '1', keys[round % 3] as string), `:${round}\r\n`);
    const calls = others.map((client, place) => say(client, 'EVALSHA', sha, '1', keys[(round + place) % 3] as string));
    t.same(new Set(await Promise.all(calls)), new Set([`:${round}\r\n`]));
    await say(one as RespClient, 'EVAL', sources[1], '1', keys[0] as string);
    const shown = others.map((client) => say(client, 'SCRIPT', 'EXISTS', loaded, sha));
    t.same(new Set(await Promise.all(shown)), new Set(['*2\r\n:1\r\n:1\r\n']));
    if (round % 10 < 9) continue;
    t.equal(await say(one as RespClient, 'SCRIPT', 'FLUSH'), '+OK\r\n');
    const gone = others.map((client) => say(client, 'EVALSHA', sha, '1', keys[0] as string));
    for (const reply of await Promise.all(gone)) t.match(reply, /^-NOSCRIPT/);
  }
});

t.test('a call that a node does not know does not change its place among others', async (t) => {
  const deployment = await deploy(t, { workers: 1 });
  const client = await connect(t, deployment.port);
  const key = deployment.key(0);
  await say(client, 'SCRIPT', 'LOAD', SOURCE);
  await call(client, key);
  await flushNodes(deployment);
  const [again, set] = [
    ['EVALSHA', SHA, '1', key, 'x'],
    ['SET', key, 'later'],
  ] as const;
  client.send(Buffer.concat([encodeWords(again), encodeWords(set), encodeWords(again)]));
  t.match((await client.next()).toString(), /^-NOSCRIPT/, 'it cannot be sent again, since SET was sent behind it');
  t.equal((await client.next()).toString(), '+OK\r\n');
  t.equal((await client.next()).toString(), answer(key, 'later'), 'nothing was sent behind the last one');
  t.equal(await call(client, key), answer(key, 'later'));
});

t.test('a pipeline of calls that a node does not know is carried out in its order', async (t) => {
  const deployment = await deploy(t, { workers: 1 });
  const client = await connect(t, deployment.port);
  const source = "return redis.call('APPEND', KEYS[1], ARGV[1])";
  const sha = createHash('sha1').update(source).digest('hex');
  const [key, other] = [deployment.key(0), deployment.key(1)];
  for (const place of [key, other]) t.equal(await say(client, 'EVAL', source, '1', place, '-'), ':1\r\n');
  await flushNodes(deployment);
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  const calls = letters.flatMap((letter) => [
    ['EVALSHA', sha, '1', key, letter],
    ['EVALSHA', sha, '1', other, letter],
  ]);
  client.send(Buffer.concat([...calls, ['GET', deployment.key(2)]].map((words) => encodeWords(words))));
  for (const [place] of letters.entries())
    for (const _ of [key, other]) t.equal((await client.next()).toString(), `:${place + 2}\r\n`);
  t.equal((await client.next()).toString(), '$-1\r\n');
  for (const place of [key, other]) t.equal(await say(client, 'GET', place), `$27\r\n-${letters.join('')}\r\n`);
});
