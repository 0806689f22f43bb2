import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { type ClientOptions, NodeClient } from '../../src/backend/client.js';
import { encodeCommand } from '../../src/resp/reply.js';

/** A node that answers HELLO, and then what `answer` says; null: nothing. */
async function startNode(t: Test, answer: (socket: Socket, text: string) => void, hello = '%0\r\n'): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      if (text.includes('HELLO')) socket.write(hello);
      else answer(socket, text);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function connectTo(t: Test, port: number, options: Partial<ClientOptions> = {}): Promise<NodeClient> {
  const client = await NodeClient.connect({
    endpoint: { kind: 'tcp', host: '127.0.0.1', port },
    ...{ username: null, password: null, connectTimeoutMs: 5_000, requestTimeoutMs: 5_000 },
    ...{ onPush: () => {}, onClose: () => {} },
    ...options,
  });
  t.teardown(() => client.destroy(new Error('the test has ended')));
  return client;
}

const PING = encodeCommand(['PING']);

function textsOf(replies: readonly Uint8Array[]): string[] {
  return replies.map((reply) => Buffer.from(reply).toString('latin1'));
}

t.test(
  'replies belong to questions in their order, however they are cut, and pushes come before what follows them',
  async (t) => {
    const large = `$200000\r\n${'x'.repeat(200_000)}\r\n`;
    const reply = `+one\r\n>2\r\n+invalidate\r\n_\r\n+two\r\n${large}:4\r\n`;
    const port = await startNode(t, async (socket) => {
      for (let at = 0; at < reply.length; at += at < 60 ? 1 : 7_919) {
        socket.write(reply.slice(at, at < 60 ? at + 1 : at + 7_919));
        if (at % 3 === 0) await new Promise(setImmediate);
      }
    });
    const heard: string[] = [];
    const client = await connectTo(t, port, { onPush: (frame) => heard.push(...textsOf([frame])) });
    const asked = [client.ask(PING, 1), client.ask(PING, 2), client.ask(PING, 1)];
    const first = textsOf((await asked[0]) ?? []);
    t.same(first, ['+one\r\n']);
    t.same(textsOf((await asked[1]) ?? []), ['+two\r\n', large]);
    t.same(heard, ['>2\r\n+invalidate\r\n_\r\n']);
    t.same(textsOf((await asked[2]) ?? []), [':4\r\n']);
  },
);

t.test('a node that falls silent is given up, and all that was asked is rejected', async (t) => {
  const port = await startNode(t, () => {});
  let closed: Error | null = null;
  const onClose = (error: Error) => {
    closed = error;
  };
  const client = await connectTo(t, port, { requestTimeoutMs: 50, onClose });
  const asked = [client.ask(PING, 1), client.ask(PING, 1)];
  for (const one of asked) await t.rejects(one, /did not answer within 50 ms/);
  t.match(closed, /did not answer/);
  await t.rejects(client.ask(PING, 1), /did not answer/, 'nor is more asked of it');
});

t.test('what is no reply, and a reply to nothing, end the connection', async (t) => {
  const garbage = await startNode(t, (socket) => socket.write('hello\r\n'));
  await t.rejects((await connectTo(t, garbage)).ask(PING, 1), /sent what is no reply: 'hello/);
  const eager = await startNode(t, (socket) => socket.write('+one\r\n+two\r\n'));
  const closed = new Promise<Error>((resolve) => {
    void connectTo(t, eager, { onClose: resolve }).then((client) => client.ask(PING, 1));
  });
  t.match(await closed, /answered what it was not asked/);
});

t.test('a refused greeting is told without the password', async (t) => {
  const port = await startNode(
    t,
    () => {},
    '-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `s3cret`\r\n',
  );
  await t.rejects(connectTo(t, port, { password: 's3cret' }), {
    message: 'HELLO 3 was answered: ERR unknown command `HELLO`',
  });
});

t.test('a node that does not greet in time is given up', async (t) => {
  const port = await startNode(t, () => {}, '');
  await t.rejects(connectTo(t, port, { connectTimeoutMs: 50 }), /within 50 ms/);
});
