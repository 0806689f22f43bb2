/** Libraries of functions where a node has lost them. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { connect, encodeWords, type RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const LIBRARY =
  "#!lua name=l\nredis.register_function('f', function(keys, args) return redis.call('GET', keys[1]) end)";

t.test('a node that came back without its functions is named, and FUNCTION LOAD REPLACE heals it', async (t) => {
  const deployment = await deploy(t);
  const client = await connect(t, deployment.port);
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  const call = (key: string, name = 'f') => say(client, 'FCALL', name, '1', key);
  t.equal(await call(keys[0] as string), '-ERR Function not found\r\n', 'no node has it');
  t.equal(await say(client, 'FUNCTION', 'LOAD', LIBRARY), '$1\r\nl\r\n');
  for (const key of keys) t.equal(await call(key), '$-1\r\n');
  const [server] = deployment.servers;
  await server?.kill9();
  await server?.restart();
  const set = (client: RespClient) => say(client, 'SET', keys[0] as string, 'v');
  await waitFor('the node', async () => (await set(client)) === '+OK\r\n');
  const lacking =
    /^-ERR Function not found on node (\S+), which lacks its library: node \S+ and 1 more have it\. FUNCTION LOAD REPLACE brings it to all nodes\r\n$/;
  t.match(await call(keys[0] as string), lacking);
  t.match(await say(client, 'FCALL_RO', 'f', '1', keys[0] as string), lacking);
  t.equal(await call(keys[0] as string, 'other'), '-ERR Function not found\r\n');
  const [get, fcall] = [
    ['GET', keys[0] as string],
    ['FCALL', 'f', '1', keys[0] as string],
  ] as const;
  client.send(
    Buffer.concat(
      [fcall, get, fcall, ['FCALL', 'none', '1', keys[0] as string], get].map((words) => encodeWords(words)),
    ),
  );
  for (const expected of [lacking, /^\$1\r\nv/, lacking, /^-ERR Function not found\r\n$/, /^\$1\r\nv/])
    t.match((await client.next()).toString(), expected);
  t.match(
    await say(client, 'FUNCTION', 'LOAD', LIBRARY),
    /^-ERR Library 'l' already exists \(from node \S+; 1 of 3 shards have carried out their part of it/,
    'what was lacking is there now',
  );
  t.equal(await call(keys[0] as string), '$1\r\nv\r\n');
  t.equal(await say(client, 'FUNCTION', 'LOAD', 'REPLACE', LIBRARY), '$1\r\nl\r\n');
  t.equal(await say(client, 'FUNCTION', 'DELETE', 'l'), '+OK\r\n');
  for (const key of keys) t.equal(await call(key), '-ERR Function not found\r\n');
});
