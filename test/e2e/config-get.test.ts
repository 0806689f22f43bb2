/** CONFIG GET and SET through the proxy: what is the nodes', what is the proxy's, and what no client is shown or sets. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { connect, say } from '../help/resp-client.js';

const NODE = ['--requirepass', 'node-pw', '--masterauth', 'master-pw', '--masteruser', 'master-user'];
const SECRET = /node-pw|master-pw|master-user|client-pw/;

t.test('CONFIG GET shows no password of a node, whoever asks and however', async (t) => {
  for (const [auth, login] of [
    ['none', null],
    [{ password: 'client-pw' }, ['AUTH', 'client-pw']],
    [{ users: ['admin on >client-pw ~* &* +@all'] }, ['AUTH', 'admin', 'client-pw']],
  ] as const) {
    await t.test(JSON.stringify(auth), async (t) => {
      const url = ({ port }: { port: number }) => `redis://:node-pw@127.0.0.1:${port}`;
      const deployment = await deploy(t, { nodes: 2, workers: 1, auth, redis: { args: NODE }, url });
      const client = await connect(t, deployment.port);
      if (login !== null) t.equal(await say(client, ...login), '+OK\r\n');
      for (const protocol of ['2', '3']) {
        await say(client, 'HELLO', protocol);
        for (const names of [
          ['requirepass'],
          ['RequirePass'],
          ['*pass*'],
          ['master*'],
          ['port', 'requirepass', 'masterauth', 'masteruser'],
          ['*'],
        ]) {
          const shown = await say(client, 'CONFIG', 'GET', ...names);
          t.match(shown, /^[*%][1-9]/);
          t.notMatch(shown, SECRET, names.join(' '));
          t.equal(await say(client, 'MULTI'), '+OK\r\n');
          for (const words of [['SET', 'a', '1'], ['CONFIG', 'GET', ...names], ['DBSIZE']])
            t.equal(await say(client, ...words), '+QUEUED\r\n');
          t.equal(await say(client, 'EXEC'), `*3\r\n+OK\r\n${shown}:1\r\n`, 'inside MULTI, too');
        }
      }
      t.equal(await say(client, 'HELLO', '2').then(() => say(client, 'CONFIG', 'GET', 'requirepass')), EMPTY);
    });
  }
});

const EMPTY = '*2\r\n$11\r\nrequirepass\r\n$0\r\n\r\n';

t.test('what CONFIG GET shows of the proxy is what INFO shows', async (t) => {
  const { port } = await deploy(t, { nodes: 1, workers: 1 });
  const client = await connect(t, port);
  const get = async (name: string) => String(((await client.command('CONFIG', 'GET', name)) as unknown[])[1]);
  const info = String(await client.command('INFO'));
  const field = (name: string) => new RegExp(`^${name}:(.*)\r$`, 'm').exec(info)?.[1];
  t.equal(await get('port'), String(port));
  t.equal(await get('port'), field('tcp_port'));
  t.equal(await get('maxclients'), field('maxclients'));
  t.equal(await get('cluster-enabled'), field('cluster_enabled') === '1' ? 'yes' : 'no');
});

t.test('a user of the nodes sees there what it may see', async (t) => {
  const url = ({ port }: { port: number }) => `redis://:node-pw@127.0.0.1:${port}`;
  const { port } = await deploy(t, { nodes: 1, workers: 1, auth: 'passthrough', redis: { args: NODE }, url });
  const client = await connect(t, port);
  t.equal(await say(client, 'AUTH', 'node-pw'), '+OK\r\n');
  t.equal(await say(client, 'CONFIG', 'GET', 'requirepass'), '*2\r\n$11\r\nrequirepass\r\n$7\r\nnode-pw\r\n');
  t.equal(await say(client, 'CONFIG', 'GET', 'port'), `*2\r\n$4\r\nport\r\n$${String(port).length}\r\n${port}\r\n`);
});

t.test('CONFIG SET of what would lock the proxy out of its nodes is refused, and changes nothing', async (t) => {
  const { port, servers } = await deploy(t, { nodes: 2, workers: 1 });
  const client = await connect(t, port);
  for (const [name, value] of [
    ['requirepass', 'x'],
    ['MasterAuth', 'x'],
    ['masteruser', 'x'],
    ['maxclients', '1'],
    ['timeout', '1'],
    ['protected-mode', 'yes'],
    ['tls-auth-clients', 'yes'],
  ] as const) {
    const refusal = `-ERR CONFIG SET ${name.toLowerCase()} is not supported by this proxy: `;
    t.match(await say(client, 'CONFIG', 'SET', name, value), refusal);
    t.match(await say(client, 'CONFIG', 'SET', 'hz', '10', name, value), refusal);
    t.equal(await say(client, 'MULTI'), '+OK\r\n');
    t.match(await say(client, 'CONFIG', 'SET', name, value), refusal);
    t.match(await say(client, 'EXEC'), '-EXECABORT');
  }
  for (const server of servers) {
    const direct = await connect(t, server.port);
    t.equal(await say(direct, 'CONFIG', 'GET', 'requirepass'), EMPTY);
    t.match(await say(direct, 'CONFIG', 'GET', 'timeout'), /\$1\r\n0\r\n$/);
  }
});
