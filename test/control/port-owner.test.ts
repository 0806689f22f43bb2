import { symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { freePort } from '../../src/control/free-port.js';
import { portOwner } from '../../src/control/port-owner.js';
import { isRunning, markOf, processStart } from '../../src/control/process-start.js';
import { startChild } from '../help/child.js';
import { fileTree } from '../help/file-tree.js';

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:18EC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000
   1: 0100007F:18ED 0100007F:18EC 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000
`;

t.test('who listens on a port is found by its socket', async (t) => {
  const proc = fileTree(t, {
    'net/tcp': TABLE,
    '12/cmdline': 'other\0',
    '12/fd/0': '',
    '345/cmdline': `node\0main.js\0${'x'.repeat(200)}\0`,
    '345/fd/1': '',
    'self/fd/1': '',
  });
  symlinkSync('socket:[4712]', join(proc, '12', 'fd', '3'));
  symlinkSync('socket:[4711]', join(proc, '345', 'fd', '7'));
  const owner = portOwner(0x18ec, proc);
  t.equal(owner?.pid, 345);
  t.match(owner?.command, /^node main\.js x+…$/);
  t.equal(owner?.command.length, 80);
  t.equal(portOwner(0x18ed, proc), null, 'a connection is no listener');
  t.equal(portOwner(1, proc), null);
  t.equal(portOwner(0x18ec, join(proc, 'nothing')), null, 'where there is no /proc nothing is known');
});

t.test('this process is found by a port of its own', { skip: process.platform !== 'linux' }, async (t) => {
  for (const host of ['127.0.0.1', '::1']) {
    const server = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    t.equal(portOwner(port)?.pid, process.pid, host);
    server.close();
  }
});

t.test('a process is known by its number and when it was started, as long as it runs', async (t) => {
  const child = await startChild(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const mark = markOf(child.pid);
  if (mark === null) throw new Error('it runs');
  t.ok(isRunning(mark));
  t.notOk(isRunning({ ...mark, start: processStart(process.pid) as string }));
  child.signal('SIGKILL');
  await child.ended;
  t.notOk(isRunning(mark));
  t.equal(markOf(child.pid), null);
});
