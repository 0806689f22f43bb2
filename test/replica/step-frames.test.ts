import t from 'tap';
import { makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Commands, Value } from '../../src/replica/commands.js';
import { lineageOn, NO_LINEAGE } from '../../src/replica/lineage.js';
import { encodeStep, nodeStepOf } from '../../src/replica/node-step.js';
import type { Step } from '../../src/replica/step.js';
import { StepFrames } from '../../src/replica/step-frames.js';
import { CommandWriter } from '../../src/resp/command-writer.js';
import { Arena } from '../../src/transport/arena.js';

const [BASE, BALLOT, NEXT] = [1, 2, 3].map((count) => makeBallot(0, count, proposerNumber(0, 1))) as [
  string,
  string,
  string,
];

function accept(lines: readonly string[], expired = false, lineage = NO_LINEAGE): Step<Commands, Value> {
  const list = lines.map((line) => line.split(' ').map((each) => Buffer.from(each)));
  const commands: Commands = { list, protocol: 2 };
  const expected = { accepted: BASE, lineage, live: true, expireAt: 0 };
  return {
    kind: 'accept',
    ballot: BALLOT,
    base: BASE,
    expected,
    lineage,
    expired,
    commands,
    setsExpiry: 0,
    next: NEXT,
  };
}

t.test('a step is encoded for the node and the key that it goes to, whatever it was encoded for before', async (t) => {
  const large = { accepted: NEVER, lineage: NO_LINEAGE, live: true, expireAt: 0, value: Buffer.alloc(100_000) };
  const steps: Step<Commands, Value>[] = [
    { kind: 'peek' },
    { kind: 'snapshot' },
    { kind: 'prepare', ballot: BALLOT },
    accept(['SET one 1']),
    accept(['SET one 1', 'APPEND one 2']),
    { kind: 'install', state: large, next: NEVER },
  ];
  const arena = new Arena(new ArrayBuffer(4 * 1024 * 1024));
  const frames = new StepFrames(arena);
  frames.stepFor({ kind: 'peek' }, 'first', false);
  frames.write(Buffer.from('1 member'), 1000);
  const { usedBytes } = arena;
  for (const step of steps) {
    const cases = ['one', 'two', 'one'].flatMap((key) => {
      return ['1 member A', '1 member B', '1 member of another length'].flatMap((record) => {
        return [false, true].map((isFull) => ({ key, record, isFull }));
      });
    });
    for (const { key, record, isFull } of cases) {
      frames.stepFor(step, key, isFull);
      t.ok(frames.write(Buffer.from(record), 1000));
      const together = Buffer.from(arena.bytes.slice(frames.start, frames.end));
      frames.release();
      const alone = Buffer.from(encodeStep(step, Buffer.from(key), Buffer.from(record), 1000, isFull).frames);
      t.ok(together.equals(alone), `${step.kind} for ${key} and ${record}`);
      t.ok(together.includes(`\r\n${key}\r\n`));
      t.equal(together.includes(`\r\n${record}\r\n`), step.kind !== 'peek' && step.kind !== 'snapshot');
    }
  }
  t.equal(arena.usedBytes, usedBytes, 'what was too large to be kept was given back');
});

t.test('frames for which the arena has no room are not written, and later there may be room', async (t) => {
  const arena = new Arena(new ArrayBuffer(1024 * 1024));
  const frames = new StepFrames(arena);
  const block = arena.allocate(1024 * 1024);
  frames.stepFor({ kind: 'peek' }, 'key', false);
  t.equal(frames.write(Buffer.from('1 member'), 1000), false);
  arena.release(block, 1024 * 1024);
  t.ok(frames.write(Buffer.from('1 member'), 1000));
  frames.release();
});

t.test(
  'no two attempts in the watch form have the same pass, and their frames take no more room than is said',
  async (t) => {
    const lineage = lineageOn({ accepted: BASE, lineage: NO_LINEAGE }, makeBallot(0, 2, proposerNumber(0, 2)), NEVER);
    for (const expired of [false, true]) {
      const step = nodeStepOf(accept(['BITFIELD k INCRBY u8 0 1', 'PUBLISH channel k'], expired, lineage), 'k');
      const record = Buffer.from('1 member A');
      const writer = new CommandWriter();
      const written = [0, 1].map(() => {
        const room = Buffer.alloc(step.bytesMax(record.length));
        writer.aim(room, 0);
        step.write(writer, record, 10 ** 15);
        t.ok(writer.at <= room.length);
        return room.toString('latin1', 0, writer.at);
      });
      t.not(written[0], written[1]);
    }
  },
);
