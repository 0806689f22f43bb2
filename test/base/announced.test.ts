import t from 'tap';
import { completeAnnounce } from '../../src/base/announce-section.js';
import { announcedAt } from '../../src/base/announced.js';
import type { TcpEndpoint } from '../../src/base/endpoint.js';

const tcp = (host: string, port: number): TcpEndpoint => ({ kind: 'tcp', host, port });

t.test('what is announced is that of the address by which a client came', async (t) => {
  const listen = [
    tcp('0.0.0.0', 1),
    tcp('10.0.0.1', 1),
    tcp('::', 1),
    { kind: 'unix', path: '/a' } as const,
    tcp('127.0.0.1', 0),
  ];
  const list = completeAnnounce(
    listen,
    [1, 2, 3, 4, 5].map((port) => tcp('h', port)),
  );
  for (const [local, port] of [
    ['10.0.0.2:1', 1],
    ['10.0.0.1:1', 2],
    ['[fe80::1]:1', 3],
    ['unix:/a', 4],
    ['unix:/b', undefined],
    ['127.0.0.1:54321', 5],
    ['10.0.0.1:2', undefined],
  ] as const) {
    t.equal(announcedAt(list, local)?.port, port, local);
  }
});

t.test('one is for all, none for nobody', async (t) => {
  const listen = [tcp('127.0.0.1', 1), tcp('::1', 2)];
  const list = completeAnnounce(listen, [tcp('h', 9)]);
  t.same([announcedAt(list, '127.0.0.1:1'), announcedAt(list, '[::1]:2')], [tcp('h', 9), tcp('h', 9)]);
  t.same(completeAnnounce(listen), []);
});
