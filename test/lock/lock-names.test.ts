/** A walk over the names of locks. */
import t from 'tap';
import { Timers } from '../../src/base/timers.js';
import { type NamesOutcome, walkNames } from '../../src/lock/lock-names.js';
import type { Replicas } from '../../src/replica/replicas.js';
import type { Transport } from '../../src/transport/transport.js';

interface Asker {
  onAnswer(place: number, tag: number, answer: unknown): void;
}

t.test('for nobody no further page is asked for', async (t) => {
  const asked: { asker: Asker; place: number; tag: number }[] = [];
  const replicas = {
    askNode: (_node: number, asker: Asker, place: number, tag: number) => asked.push({ asker, place, tag }),
  } as unknown as Replicas;
  const transport = { timers: new Timers(), now: 0 } as unknown as Transport;
  let isWanted = true;
  const told: NamesOutcome[] = [];
  const query = { sets: [[0, 1, 2]], ttlMaxMs: 1, pattern: '*', max: 9, isLock: () => true, isWanted: () => isWanted };
  walkNames({ replicas, transport }, 1_000, query, (outcome) => told.push(outcome));
  const page = () => {
    const { asker, place, tag } = asked.shift() as (typeof asked)[number];
    asker.onAnswer(place, tag, { kind: 'page', cursor: '1', names: [`${place}`] });
  };
  for (let pages = 0; pages < 3; pages++) page();
  t.same([asked.length, told.length], [3, 0]);
  isWanted = false;
  for (let pages = 0; pages < 3; pages++) page();
  t.equal(asked.length, 0);
  t.match(told, [{ kind: 'names' }], 'it ends, once');
});
