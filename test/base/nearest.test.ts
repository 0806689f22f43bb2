import t from 'tap';
import { nearestWord } from '../../src/base/nearest.js';

const WORDS = ['listen', 'admin', 'workers', 'transport', 'pools', 'keyspaces', 'limits', 'log'];

t.test('a mistyped word finds the one that was meant', async (t) => {
  const table: [string, string][] = [
    ['listn', 'listen'],
    ['lsiten', 'listen'],
    ['worker', 'workers'],
    ['Workers', 'workers'],
    ['pool', 'pools'],
    ['keyspace', 'keyspaces'],
    ['trasnport', 'transport'],
    ['lgo', 'log'],
    ['limits', 'limits'],
  ];
  for (const [written, meant] of table) t.equal(nearestWord(written, WORDS), meant, written);
});

t.test('a word like none finds none', async (t) => {
  for (const written of ['x', 'timeout', 'shards', '', 'listening-address'])
    t.equal(nearestWord(written, WORDS), null, written);
  t.equal(nearestWord('listen', []), null);
});
