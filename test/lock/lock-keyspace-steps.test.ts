/** When a script is sent to a node at once, and when the node is asked first whether it is quarantined. */
import t from 'tap';
import { lockFormOf } from '../../src/lock/lock-keyspace-forms.js';
import { dropInStep, KnownNodes } from '../../src/lock/lock-keyspace-steps.js';
import { CommandWriter } from '../../src/resp/command-writer.js';

const [SHORT_MS, LONG_MS] = [1000, 60_000];
const NODE = 0;
const OPEN = Buffer.from('*0\r\n');
const QUARANTINED = Buffer.from('+Q500\r\n');

/** Has a script sent to a node of that record. Whether it was asked first; `gate`: what it answers then. */
function isAskedFirst(known: KnownNodes, record: string, ttlMaxMs: number, gate: Buffer): boolean {
  const words = ['EVAL', 'return 1', '1', 'k'].map((word) => Buffer.from(word));
  const form = lockFormOf('eval', words, 1, ttlMaxMs);
  if (form instanceof Uint8Array) throw new Error(`${Buffer.from(form)}`);
  const step = dropInStep(form, NODE, ttlMaxMs, known, false);
  const bytes = Buffer.from(record);
  const room = Buffer.alloc(step.bytesMax(bytes.length));
  const writer = new CommandWriter();
  writer.aim(room, 0);
  step.write(writer, bytes, 0);
  if (room.includes('MULTI')) return false;
  step.decode([gate], bytes);
  return true;
}

t.test('who counts for short locks is asked again before longer ones', async (t) => {
  const known = new KnownNodes();
  t.ok(isAskedFirst(known, 'record', SHORT_MS, QUARANTINED));
  t.ok(isAskedFirst(known, 'record', SHORT_MS, OPEN));
  t.notOk(isAskedFirst(known, 'record', SHORT_MS, OPEN), 'it is known to count');
  t.ok(isAskedFirst(known, 'record', LONG_MS, QUARANTINED));
  t.ok(isAskedFirst(known, 'record', LONG_MS, OPEN), 'not yet for so long');
  t.notOk(isAskedFirst(known, 'record', LONG_MS, OPEN));
  t.notOk(isAskedFirst(known, 'record', SHORT_MS, OPEN), 'for shorter ones it counts as well');
  t.ok(isAskedFirst(known, 'next record', SHORT_MS, OPEN), 'it is another process');
  t.ok(isAskedFirst(known, 'next record', LONG_MS, QUARANTINED), 'what the one before had passed is of no matter');
});
