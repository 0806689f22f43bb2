import t from 'tap';
import { clientRoom, descriptorsMax } from '../../src/control/client-room.js';
import { fileTree } from '../help/file-tree.js';

t.test('descriptors are kept back for the process, its workers and their nodes', async (t) => {
  t.equal(clientRoom(1024, 2, 3), 1024 - 40 - 2 * (8 + 3 * 4));
  t.equal(clientRoom(1024, 1, 0), 1024 - 48);
  t.equal(clientRoom(Number.POSITIVE_INFINITY, 4, 100), Number.POSITIVE_INFINITY);
  t.equal(clientRoom(64, 4, 10), 1, 'one client there is always room for');
});

t.test('the soft limit counts, and where there is none to be read any number goes', async (t) => {
  const table = (soft: string) =>
    `Limit                     Soft Limit           Hard Limit           Units     \nMax open files            ${soft}              4096                 files     \n`;
  t.equal(descriptorsMax(fileTree(t, { 'proc/self/limits': table('1024') })), 1024);
  t.equal(descriptorsMax(fileTree(t, { 'proc/self/limits': table('unlimited') })), Number.POSITIVE_INFINITY);
  t.equal(descriptorsMax(fileTree(t, {})), Number.POSITIVE_INFINITY);
});
