import t from 'tap';
import { parseListenAddress, parseNodeAddress } from '../../src/base/address.js';

t.test('a listener has an IP address and a port, or the path of a unix socket', async (t) => {
  t.same(parseListenAddress('127.0.0.1:6380'), { kind: 'tcp', host: '127.0.0.1', port: 6380 });
  t.same(parseListenAddress('0.0.0.0:0'), { kind: 'tcp', host: '0.0.0.0', port: 0 });
  t.same(parseListenAddress('[::1]:6380'), { kind: 'tcp', host: '::1', port: 6380 });
  t.same(parseListenAddress('[::]:65535'), { kind: 'tcp', host: '::', port: 65535 });
  t.same(parseListenAddress('unix:/run/ringleader.sock'), { kind: 'unix', path: '/run/ringleader.sock' });
});

t.test('what is no address of a listener is refused with the reason', async (t) => {
  const table: [string, RegExp][] = [
    ['', /no port/],
    ['127.0.0.1', /no port/],
    ['6380', /no port/],
    ['::1:6380', /without brackets/],
    ['localhost:6380', /not an IP address/],
    ['[127.0.0.1]:6380', /not an IP address/],
    ['[::1:6380', /without brackets/],
    ['256.0.0.1:6380', /not an IP address/],
    [':6380', /^no host$/],
    ['127.0.0.1:65536', /above 65535/],
    ['127.0.0.1:x', /^a port that is no number$/],
    ['redis://127.0.0.1:6380', /a URL/],
    ['unix:', /absolute path/],
    ['unix:run/x.sock', /absolute path/],
    [`unix:/${'x'.repeat(200)}`, /201 bytes/],
    ['unix:/run/\0x', /zero byte/],
  ];
  for (const [text, reason] of table) t.match(parseListenAddress(text), { fault: reason }, JSON.stringify(text));
});

t.test("a node's URL has a host, and may have a port, a user and a password", async (t) => {
  const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });
  const none = { username: null, password: null };
  const table: [string, object][] = [
    ['redis://127.0.0.1:7001', { address: tcp('127.0.0.1', 7001), ...none }],
    ['redis://127.0.0.1:7001/', { address: tcp('127.0.0.1', 7001), ...none }],
    ['redis://127.0.0.1:7001/0', { address: tcp('127.0.0.1', 7001), ...none }],
    ['REDIS://cache-1.example', { address: tcp('cache-1.example', 6379), ...none }],
    ['redis://[::1]', { address: tcp('::1', 6379), ...none }],
    ['redis://[::1]:7001', { address: tcp('::1', 7001), ...none }],
    ['redis://user:pass@h:1', { address: tcp('h', 1), username: 'user', password: 'pass' }],
    ['redis://:pass@h', { address: tcp('h', 6379), username: null, password: 'pass' }],
    ['redis://user@h', { address: tcp('h', 6379), username: 'user', password: null }],
    ['redis://us%3Aer:p%40%2Fs%25@h', { address: tcp('h', 6379), username: 'us:er', password: 'p@/s%' }],
    ['redis://u:p@ss/w#o?rd:@h:5', { address: tcp('h', 5), username: 'u', password: 'p@ss/w#o?rd:' }],
    ['unix:/run/redis.sock', { address: { kind: 'unix', path: '/run/redis.sock' }, ...none }],
    ['unix:///run/redis.sock', { address: { kind: 'unix', path: '/run/redis.sock' }, ...none }],
    ['unix:u:p@/run/x', { address: { kind: 'unix', path: '/run/x' }, username: 'u', password: 'p' }],
    ['unix://:p@/run/x', { address: { kind: 'unix', path: '/run/x' }, username: null, password: 'p' }],
  ];
  for (const [text, address] of table) t.same(parseNodeAddress(text), address, text);
});

t.test("what is no node's URL is refused with the reason, which never repeats the URL", async (t) => {
  const table: [string, RegExp][] = [
    ['', /without redis/],
    ['127.0.0.1:7001', /without redis/],
    ['rediss://secret@h', /TLS/],
    ['http://secret@h', /another scheme/],
    ['redis://', /no host/],
    ['redis://user:secret@', /no host/],
    ['redis://user:secret', /no number/],
    ['redis://h:secret@h:secret', /no number/],
    ['redis://::1:7001', /without brackets/],
    ['redis://[secret]:7001', /cannot be one/],
    ['redis://se cret:1', /a blank/],
    ['redis://h:0', /outside 1 to 65535/],
    ['redis://h:65536', /outside 1 to 65535/],
    ['redis://h/1', /only database 0/],
    ['redis://h?password=secret', /no options/],
    ['redis://h#secret', /no options/],
    ['redis://u:%secret@h', /%25/],
    ['unix:secret', /absolute path/],
  ];
  for (const [text, reason] of table) {
    t.match(parseNodeAddress(text), { fault: reason }, JSON.stringify(text));
    t.notMatch(JSON.stringify(parseNodeAddress(text)), /secret/, text);
  }
});
