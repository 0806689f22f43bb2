/** Sleeping in the kernel between requests. */
import t from 'tap';
import { Nap, pollingSleep } from '../../native-bench/load/nap.js';
import { system } from '../../src/transport/system.js';

t.test('a rest lasts for its time, unless something is to be read', async (t) => {
  const calls = system();
  const descriptor = calls.eventfd(0, 0);
  t.teardown(() => calls.close(descriptor));
  const nap = new Nap(pollingSleep(descriptor));
  const timed = (us: number) => {
    const startMs = performance.now();
    nap.rest(us);
    return performance.now() - startMs;
  };
  t.ok(timed(300_000) > 200, 'nothing comes');
  const one = Buffer.alloc(8);
  one.writeBigUInt64LE(1n);
  t.equal(calls.write(descriptor, one, one.length), one.length);
  t.ok(timed(60e6) < 30_000, 'something is there');
});
