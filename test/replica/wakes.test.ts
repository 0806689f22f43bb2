/** Messages of the nodes that something was put into a key: by which of them who waits is woken. */
import t from 'tap';
import { Timers } from '../../src/base/timers.js';
import { everywhere } from '../../src/replica/key-operation.js';
import type { BaseFacts } from '../../src/replica/operation.js';
import { Wakes } from '../../src/replica/wakes.js';
import { word } from '../../src/replica/words.js';
import type { Transport } from '../../src/transport/transport.js';

const KEY = word('key');
const NOWHERE = {} as BaseFacts;

class Bench {
  readonly timers = new Timers();
  readonly wakes = new Wakes({ timers: this.timers, now: 0 } as Transport);
  readonly told: string[] = [];

  /** As a node sends it: the last word of the message that a write carries. */
  writeMark(): string {
    const plan = this.wakes.waking(everywhere([word('RPUSH'), KEY, word('x')], 2), KEY).plan(NOWHERE, null);
    if (plan.kind === 'read') throw new Error('it reads');
    return `${plan.commands.list.at(-1)?.at(-1)}`;
  }

  say(message: string, copies = 3): void {
    const wake = this.wakes.read(message);
    this.wakes.gather(
      wake,
      copies,
      () => this.told.push(`woken ${wake.key}`),
      () => this.told.push(`doubted ${wake.key}`),
    );
  }
}

t.test('who waits is woken once for each write, when a majority has carried it out', async (t) => {
  const bench = new Bench();
  for (const copies of [3, 5]) {
    const message = bench.writeMark();
    for (let said = 1; said <= copies; said++) {
      bench.say(message, copies);
      t.equal(bench.told.length, said > copies / 2 ? 1 : 0, `${said} of ${copies}`);
    }
    bench.timers.fire(1000);
    t.same(bench.told.splice(0), ['woken key']);
  }
});

t.test('a late message of one write does not count for the next', async (t) => {
  const bench = new Bench();
  bench.say(bench.writeMark());
  const next = bench.writeMark();
  bench.say(next);
  t.same(bench.told, [], 'that one was carried out at one node');
  bench.say(next);
  t.same(bench.told, ['woken key']);
});

t.test('of a write that too few have told of it is said so after a while', async (t) => {
  const bench = new Bench();
  bench.say(bench.writeMark());
  bench.timers.fire(99);
  t.same(bench.told, []);
  bench.timers.fire(100);
  t.same(bench.told, ['doubted key']);
});

t.test("its own writes are known by their marks; the reply to the message is nobody's", async (t) => {
  const [own, other] = [new Bench(), new Bench()];
  const message = own.writeMark();
  t.notOk(own.wakes.isForeign(own.wakes.read(message)));
  t.ok(other.wakes.isForeign(other.wakes.read(message)));
  const plan = own.wakes.waking(everywhere([word('RPUSH'), KEY, word('x')], 2), KEY).plan(NOWHERE, null);
  t.same(plan.kind === 'read' ? [] : plan.reply([word(':1\r\n'), word(':3\r\n')]), [word(':1\r\n')]);
});
