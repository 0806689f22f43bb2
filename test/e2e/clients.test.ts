/** Clients that misbehave: each gets what Redis would give it, and the others are served. */
import t from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { openDescriptors, residentBytes } from '../help/process-facts.js';
import type { LogLine } from '../help/proxy.js';
import { encodeWords, RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

const MEBI = 1024 * 1024;
const LIMITS = { sessionOutputSoftBytes: 64 * 1024, sessionOutputHardBytes: 8 * MEBI };

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(`clients on ${transport}`, async (t) => {
    const deployment = await deploy(t, { transport, limits: LIMITS });

    t.test('a client that has sent half a command holds nobody up and gets its reply in the end', async (t) => {
      const slow = await RespClient.connect(deployment.port);
      const frame = encodeWords(['SET', 'half', 'value-of-half']);
      const other = await RespClient.connect(deployment.port);
      for (let cut = 1; cut < frame.length; cut += 3) {
        slow.send(frame.subarray(0, cut));
        t.equal((await other.raw('ECHO', `${cut}`)).toString(), `$${`${cut}`.length}\r\n${cut}\r\n`);
        t.equal(slow.unread, '');
        slow.send(frame.subarray(cut));
        t.equal((await slow.next()).toString(), '+OK\r\n');
      }
      t.equal(await other.command('GET', 'half'), 'value-of-half');
      slow.close();
      other.close();
    });

    t.test('a command that stays unfinished ends its connection at requestDeadlineMs', async (t) => {
      const { proxy, port } = await deploy(t, { transport, nodes: 1, limits: { requestDeadlineMs: 200 } });
      const idle = await RespClient.connect(port);
      const slow = await RespClient.connect(port);
      slow.send('*2\r\n$3\r\nGET\r\n$3\r\nab');
      await within('the end of the connection', slow.closed);
      const line = await proxy.waitForLog('session-closed');
      t.match(line['reason'], /requestDeadlineMs 200/);
      t.equal(await idle.command('PING'), 'PONG', 'a client that is idle stays');
      idle.close();
    });

    t.test('garbage is answered and ends as at Redis', async (t) => {
      const server = deployment.servers[0] as (typeof deployment.servers)[number];
      for (const bytes of GARBAGE) {
        const [own, redis] = await Promise.all([saysTo(deployment.port, bytes), saysTo(server.port, bytes)]);
        t.equal(own, redis, JSON.stringify(bytes.slice(0, 60)));
      }
    });

    t.test('a browser that is made to talk to the proxy is cut off before its words are commands', async (t) => {
      for (const head of ['POST / HTTP/1.1\r\n', 'GET / HTTP/1.1\r\nHost: localhost\r\n']) {
        const browser = await RespClient.connect(deployment.port);
        browser.send(`${head}\r\nSET stolen yes\r\n`);
        await within('the end of the connection', browser.closed);
      }
      const client = await RespClient.connect(deployment.port);
      t.equal(await client.command('GET', 'stolen'), null);
      client.close();
    });

    t.test('a client that sends and never reads is held back, and gets all its replies in the end', async (t) => {
      const keys = [0, 1, 2].map((node) => deployment.key(node));
      const other = await RespClient.connect(deployment.port);
      const value = 'v'.repeat(1000);
      for (const key of keys) await other.command('SET', key, value);
      const before = residentBytes(deployment.proxy.pid);

      const deaf = await RespClient.connect(deployment.port);
      deaf.stopReading();
      const rounds = 20_000;
      const reply = bulk(value);
      deaf.send(
        Buffer.concat(Array.from({ length: rounds }, () => keys.map((key) => encodeWords(['GET', key]))).flat()),
      );
      for (let count = 0; count < 500; count++) await other.command('SET', keys[count % 3] as string, value);
      const grown = residentBytes(deployment.proxy.pid) - before;
      t.ok(grown < 60 * MEBI, `${Math.round(grown / MEBI)} MiB more, and ${(rounds * 3 * 1000) / MEBI} MiB of replies`);

      const replies = deaf.nextBytes(reply.length * 3 * rounds);
      deaf.readOn();
      t.ok((await replies).equals(Buffer.alloc(reply.length * 3 * rounds, reply)), 'every reply came');
      deaf.close();
      other.close();
    });

    t.test('a client whose unread replies exceed sessionOutputHardBytes is closed', async (t) => {
      const other = await RespClient.connect(deployment.port);
      await other.command('SET', 'large', 'v'.repeat(200_000));
      const before = residentBytes(deployment.proxy.pid);
      const deaf = await RespClient.connect(deployment.port);
      deaf.stopReading();
      deaf.send(Buffer.concat(Array.from({ length: 500 }, () => encodeWords(['GET', 'large']))));
      const isIt = (line: LogLine) => /sessionOutputHardBytes 8388608/.test(`${line['reason']}`);
      await deployment.proxy.waitForLog('session-closed', isIt);
      for (let count = 0; count < 100; count++) t.equal(await other.command('ECHO', `${count}`), `${count}`);
      const grown = residentBytes(deployment.proxy.pid) - before;
      t.ok(grown < 200 * MEBI, `${Math.round(grown / MEBI)} MiB more`);
      deaf.close();
      other.close();
    });

    t.test('clients that disconnect in the middle of a pipeline leave nothing behind', async (t) => {
      const witness = await RespClient.connect(deployment.port);
      await disconnectAmidst(deployment, 2);
      const descriptors = await settled(deployment);
      const memory = residentBytes(deployment.proxy.pid);
      await disconnectAmidst(deployment, 8);
      t.equal(await settled(deployment), descriptors, 'descriptors');
      const grown = residentBytes(deployment.proxy.pid) - memory;
      t.ok(grown < 100 * MEBI, `${Math.round(grown / MEBI)} MiB more`);
      for (let node = 0; node < 3; node++) {
        const key = deployment.key(node, 'after');
        t.equal(await witness.command('SET', key, `${node}`), 'OK');
        t.equal(await witness.command('GET', key), `${node}`);
      }
      witness.close();
    });

    t.test('100,000 commands sent at once are answered in order', async (t) => {
      const client = await RespClient.connect(deployment.port);
      const frames: Buffer[] = [];
      const expected: string[] = [];
      for (let number = 0; number < 25_000; number++) {
        const key = `key:${number % 1000}`;
        frames.push(encodeWords(['SET', key, `${number}`]), encodeWords(['GET', key]));
        frames.push(Buffer.from(`ECHO inline-${number}\r\n`), encodeWords(['EXISTS', key, 'no-such-key', 'nor-such']));
        expected.push('+OK\r\n', bulk(`${number}`), bulk(`inline-${number}`), ':1\r\n');
      }
      const whole = expected.join('');
      const replies = client.nextBytes(whole.length);
      client.send(Buffer.concat(frames));
      t.ok((await replies).toString() === whole, 'every reply, in its place');
      client.close();
    });

    t.test('an announced length alone takes no memory', async (t) => {
      const witness = await RespClient.connect(deployment.port);
      const before = residentBytes(deployment.proxy.pid);
      const clients = await Promise.all(Array.from({ length: 50 }, () => RespClient.connect(deployment.port)));
      for (const client of clients) client.send('*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$500000000\r\nabc');
      for (const client of clients) client.send('d'.repeat(10_000));
      for (let count = 0; count < 200; count++) await witness.command('SET', 'other', `${count}`);
      const grown = residentBytes(deployment.proxy.pid) - before;
      t.ok(grown < 60 * MEBI, `${Math.round(grown / MEBI)} MiB more`);
      for (const client of clients) client.close();
      witness.close();
    });
  });
}

const GARBAGE = [
  '\x01\x02\xffgarbage\r\n',
  '*abc\r\n',
  '*-9\r\n*1\r\n$4\r\nPING\r\n*x\r\n',
  '*2147483648\r\n',
  '*1\r\n$abc\r\n',
  '*1\r\n$-1\r\n',
  '*1\r\n:4\r\n',
  '*2\r\n$4\r\nECHO\r\n$536870913\r\n',
  '*1\r\n$4\r\nPING\r\n*1\r\n$x\r\n*1\r\n$4\r\nPING\r\n',
  'SET "unbalanced value\r\n',
  `${'x'.repeat(70_000)}`,
  `*1\r\n$${'1'.repeat(70_000)}`,
  'GET\r\n*!\r\n',
  '\r\n\r\nPING\r\n*0\r\n*!\r\n',
  'NOSUCH command here\r\n*?\r\n',
];

/** All that the server on `port` says to `bytes`, a valid ECHO behind them, and the end of input. */
async function saysTo(port: number, bytes: string): Promise<string> {
  const client = await RespClient.connect(port);
  client.send(bytes);
  const isOver = () => client.unread.length > 0 && /(^|\n)-ERR (Protocol error|unknown)[^\n]*\n$/.test(client.unread);
  await waitFor(`an answer to ${JSON.stringify(bytes.slice(0, 60))}, not ${client.unread}`, isOver);
  client.send('*2\r\n$4\r\nECHO\r\n$4\r\nmore\r\n');
  await Promise.race([client.closed, waitFor('the echo', () => client.unread.includes('more'))]);
  const said = client.unread;
  client.close();
  return said;
}

/** Many clients send a thousand commands each and leave, orderly or with a reset, at different moments. */
async function disconnectAmidst(deployment: Deployment, rounds: number): Promise<void> {
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  const commands: Buffer[] = [];
  for (let count = 0; count < 250; count++) {
    const key = keys[count % 3] as string;
    commands.push(encodeWords(['SET', key, 'v'.repeat(count)]), encodeWords(['GET', key]));
    commands.push(encodeWords(['MGET', ...keys]), encodeWords(['DEL', ...keys]));
  }
  const pipeline = Buffer.concat(commands);
  for (let round = 0; round < rounds; round++) {
    const clients = await Promise.all(Array.from({ length: 20 }, () => RespClient.connect(deployment.port)));
    for (const client of clients) client.send(pipeline.subarray(0, pipeline.length - round));
    for (const [index, client] of clients.entries()) {
      if (index % 4 === 0) await client.next();
      if (index % 2 === 0) client.reset();
      else client.close();
    }
  }
}

/** Open descriptors of the proxy, when no client but one is there. */
async function settled(deployment: Deployment): Promise<number> {
  const client = await RespClient.connect(deployment.port);
  await waitFor('the end of all other clients', async () =>
    /connected_clients:2\r\n/.test(`${await client.command('INFO', 'clients')}`),
  );
  const descriptors = openDescriptors(deployment.proxy.pid);
  client.close();
  return descriptors;
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}
