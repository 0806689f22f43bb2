import { join } from 'node:path';
import t, { type Test } from 'tap';
import { proxyDoor } from '../../src/cli/proxy-door.js';

function file(t: Test, text: string): string {
  return join(t.testdir({ 'ringleader.yml': text }), 'ringleader.yml');
}

const at = (host: string, port: number) => ({ kind: 'tcp', host, port });

t.test('a proxy is where the option says', async (t) => {
  const nobody = { user: null, password: null };
  t.same(proxyDoor({}), { endpoint: at('127.0.0.1', 6380), ...nobody });
  t.same(proxyDoor({ proxy: 'proxy.internal' }), { endpoint: at('proxy.internal', 6380), ...nobody });
  t.same(proxyDoor({ proxy: '[::1]:7000' }), { endpoint: at('::1', 7000), ...nobody });
  t.same(proxyDoor({ proxy: 'redis://h:1' }), { endpoint: at('h', 1), ...nobody });
  t.same(proxyDoor({ proxy: 'redis://me:p%40ss@h:1' }), { endpoint: at('h', 1), user: 'me', password: 'p@ss' });
  t.same(proxyDoor({ proxy: 'unix:/run/a.sock' }), { endpoint: { kind: 'unix', path: '/run/a.sock' }, ...nobody });
});

t.test('or where the file says, by loopback, of which no more is read than it takes', async (t) => {
  const inFile = (text: string) => proxyDoor({ config: file(t, text) });
  t.same(inFile('polls: 3').endpoint, at('127.0.0.1', 6380));
  t.same(inFile('listen: 0.0.0.0:99').endpoint, at('127.0.0.1', 99));
  t.same(inFile('listen: ["[::]:98", 127.0.0.1:1]').endpoint, at('::1', 98));
  t.same(inFile('listen: "127.0.0.1:${NO_SUCH_PORT:-77}"\nadmin: "${NO_SUCH}"').endpoint, at('127.0.0.1', 77));
  const services = (second: string) => `services:
  - { name: a, listen: 127.0.0.1:1, keyspaces: [{ prefix: "", pool: x }] }
  - { name: b, listen: [127.0.0.1:2], keyspaces: [${second}] }
`;
  t.same(inFile(services('{ prefix: "lock:", pool: y, mode: lock }')).endpoint, at('127.0.0.1', 2));
  t.throws(() => inFile(services('')), /none of its services has a keyspace with mode: lock/);
  t.throws(() => inFile('listen: "x:1"'), /listen: a host that is not an IP address: ringleader check/);
  t.throws(() => inFile('listen: ["${NO_SUCH_PORT}"]'), /listen\.0: .*NO_SUCH_PORT/);
});

t.test('the password is the new one of the file, else that of the environment', async (t) => {
  const inFile = (text: string) => {
    const { user, password } = proxyDoor({ config: file(t, text) });
    return [user, password];
  };
  t.same(inFile('auth: { password: "one", user: me }'), ['me', 'one']);
  t.same(inFile('auth: { password: ["new", "old"] }'), [null, 'new']);
  t.same(inFile('auth: { password: "${NO_SUCH_SECRET:-other}" }'), [null, 'other']);
  t.throws(() => inFile('auth: { password: "${NO_SUCH_SECRET}" }'), /auth\.password: .*NO_SUCH_SECRET/);
  process.env['RINGLEADER_PASSWORD'] = 'outside';
  t.teardown(() => delete process.env['RINGLEADER_PASSWORD']);
  t.same(inFile('auth: none'), [null, 'outside']);
  t.same(inFile('auth: { password: "one" }'), [null, 'one']);
  t.equal(proxyDoor({}).password, 'outside');
  t.equal(proxyDoor({ proxy: 'redis://:mine@h' }).password, 'mine');
});

t.test('what is wrong is said, without what may be a password', async (t) => {
  t.throws(() => proxyDoor({ proxy: 'x', config: 'y' }), /--config or --proxy, not both/);
  for (const proxy of ['http://s3cret@h', 'redis://:s3cret@h:x', 's3cret@h', 'redis://a:%s3cret@h']) {
    try {
      proxyDoor({ proxy });
      t.fail(proxy);
    } catch (error) {
      t.match((error as Error).message, /^--proxy: expected host:port, redis:\/\/host:port or unix:\/path, found /);
      t.notMatch((error as Error).message, 's3cret');
    }
  }
});
