/** What the data plane allocates for each command: next to nothing. */
import t from 'tap';
import { run } from '../../native-bench/micro/replay.js';

const COMMANDS = 500_000;
/** All of them at once: then what the JIT, or a queue that grows, allocates now and then comes to little for each. */
const RUNS = 1;
/** A quarter of it is allocated in truth, at depth 1, for what is done once a turn. The smallest object has 24, with a field 32. */
const BYTES_MAX = 16;

t.test('the data plane allocates no object for a command that goes to a node', async (t) => {
  // PING goes to none: an object of 32 bytes is made for each.
  const measured = run(COMMANDS, RUNS).filter(({ name }) => !name.startsWith('PING'));
  t.equal(measured.length, 7);
  for (const { name, heapBytes, keptBytes } of measured) {
    t.ok(heapBytes < BYTES_MAX, `${name}: ${heapBytes.toFixed(2)} bytes for each command`);
    t.ok(keptBytes < 1, `${name}: of which ${keptBytes.toFixed(2)} stay`);
  }
});
