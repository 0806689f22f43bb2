/** socket.io's Redis adapter, as its README has it used: two servers, each a process, serve one chat. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startChild } from '../help/child.js';
import { type Deployment, deploy } from '../help/deployment.js';
import { testClient, testClientsFolder } from '../help/test-clients.js';
import { waitFor, within } from '../help/wait-for.js';

interface Socket {
  id: string;
  connected: boolean;
  on(event: string, listener: (...args: unknown[]) => void): this;
  once(event: string, listener: () => void): this;
  emit(event: string, ...args: unknown[]): this;
  emitWithAck(event: string, ...args: unknown[]): Promise<unknown>;
  disconnect(): void;
}

type Connect = (url: string, options: { query?: Record<string, string>; transports: string[] }) => Socket;

const adapter = await testClient('@socket.io/redis-adapter');
const { io } = (await testClient('socket.io-client')).load() as { io: Connect };
const redis6 = await testClient('redis-6');
const CHAT_SERVER = join(await testClientsFolder(), 'chat-server.mjs');

/** Somebody in the chat, with what was said to them. */
interface Person {
  socket: Socket;
  heard: unknown[];
}

async function startServer(t: Test, deployment: Deployment, library: string, kind: string) {
  const child = await startChild(process.execPath, [CHAT_SERVER, `${deployment.port}`, library, kind]);
  t.teardown(async () => {
    child.signal('SIGKILL');
    await child.ended;
  });
  const port = new Promise<number>((resolve, reject) => {
    child.onLine((line) => resolve(Number(line)));
    void child.ended.then(() => reject(new Error(child.output())));
  });
  return { pid: child.pid, url: `http://127.0.0.1:${await within('a chat server', port)}` };
}

async function enter(t: Test, url: string, name: string): Promise<Person> {
  const socket = io(url, { query: { name }, transports: ['websocket'] });
  t.teardown(() => socket.disconnect());
  const heard: unknown[] = [];
  socket.on('said', (text) => heard.push(text));
  socket.on('asked', (question, answer) => (answer as (text: string) => void)(`${name}: ${question}`));
  await within('a connection', new Promise<void>((resolve) => socket.once('connect', resolve)));
  return { socket, heard };
}

for (const library of ['ioredis', 'redis-6'] as const) {
  for (const kind of ['default', 'sharded'] as const) {
    const transport = (library === 'ioredis') === (kind === 'default') ? 'auto' : 'node';
    const skip = (library === 'redis-6' && redis6.obstacle) || false;
    t.test(`socket.io's ${kind} adapter ${adapter.version} with ${library} on ${transport}`, { skip }, async (t) => {
      const deployment = await deploy(t, { transport });
      const [one, other] = await Promise.all([1, 2].map(() => startServer(t, deployment, library, kind)));
      const [anna, bert, cleo] = (await Promise.all([
        enter(t, one?.url as string, 'anna'),
        enter(t, one?.url as string, 'bert'),
        enter(t, other?.url as string, 'cleo'),
      ])) as [Person, Person, Person];
      const everybody = [anna, bert, cleo];
      /** Resolves when each has heard what is expected, and, since order is kept, nothing else before it. */
      const heard = async (t: Test, ...expected: string[][]) => {
        // All of them hear the end.
        anna.socket.emit('announce', 'END');
        await waitFor('the end', () => everybody.every((person) => person.heard.includes('END')));
        t.same(
          everybody.map((person) => person.heard.splice(0)),
          expected.map((texts) => [...texts, 'END']),
        );
      };
      // Each server knows of the other one when that answers.
      await waitFor('both servers', async () => ((await anna.socket.emitWithAck('servers')) as number[]).length === 1);
      await waitFor('both servers', async () => ((await cleo.socket.emitWithAck('servers')) as number[]).length === 1);

      t.test('what is said goes to all, to those in a room, or to one, on both servers', async (t) => {
        await anna.socket.emitWithAck('join', 'kitchen');
        await cleo.socket.emitWithAck('join', 'kitchen');
        cleo.socket.emit('shout', 'hello');
        await waitFor('hello', () => anna.heard.length > 0 && bert.heard.length > 0);
        anna.socket.emit('say', 'kitchen', 'tea?');
        await waitFor('tea', () => cleo.heard.length > 0);
        bert.socket.emit('whisper', cleo.socket.id, 'psst');
        await waitFor('a whisper', () => cleo.heard.length > 1);
        await heard(t, ['hello'], ['hello'], ['tea?', 'psst']);
        await cleo.socket.emitWithAck('leave', 'kitchen');
        anna.socket.emit('say', 'kitchen', 'anybody?');
        await heard(t, [], [], []);
      });

      t.test('each server knows who is where', async (t) => {
        await bert.socket.emitWithAck('join', 'garden');
        await cleo.socket.emitWithAck('join', 'garden');
        for (const { socket } of everybody) {
          const all = (await socket.emitWithAck('who', null)) as { name: string; rooms: string[] }[];
          t.same(
            all.sort((a, b) => (a.name < b.name ? -1 : 1)),
            [
              { name: 'anna', rooms: ['kitchen'] },
              { name: 'bert', rooms: ['garden'] },
              { name: 'cleo', rooms: ['garden'] },
            ],
          );
          const garden = (await socket.emitWithAck('who', 'garden')) as { name: string }[];
          t.same(garden.map(({ name }) => name).sort(), ['bert', 'cleo']);
        }
      });

      t.test('those in a room are asked, and all answers come', async (t) => {
        const answers = (await anna.socket.emitWithAck('ask', 'garden', 'rain?')) as string[];
        t.same(answers.sort(), ['bert: rain?', 'cleo: rain?']);
      });

      t.test('one server asks the other', async (t) => {
        t.same(await anna.socket.emitWithAck('servers'), [other?.pid]);
        t.same(await cleo.socket.emitWithAck('servers'), [one?.pid]);
      });

      t.test('one server moves and disconnects the clients of both', async (t) => {
        anna.socket.emit('move', 'garden', 'cellar');
        await waitFor(
          'the move',
          async () => ((await anna.socket.emitWithAck('who', 'cellar')) as unknown[]).length === 2,
        );
        anna.socket.emit('throw out', 'cellar');
        await waitFor('the end of two', () => !bert.socket.connected && !cleo.socket.connected);
        t.ok(anna.socket.connected);
        t.match(await anna.socket.emitWithAck('who', null), [{ name: 'anna' }]);
      });

      t.test('another namespace is another world', async (t) => {
        const [dora, emil] = (await Promise.all(
          [one, other].map((server) => enter(t, `${server?.url}/other`, 'somebody')),
        )) as [Person, Person];
        await waitFor('hello in it', () => {
          dora.socket.emit('shout', 'hello');
          return emil.heard.length > 0;
        });
        t.same(dora.heard, []);
        t.same(anna.heard, []);
      });
    });
  }
}
