import t from 'tap';
import { startChild } from './help/child.js';
import { RedisServer } from './help/redis-server.js';
import { RespClient } from './help/resp-client.js';
import { skewedClock } from './help/skewed-clock.js';

/** Between two readings on a busy machine. */
const APART_MS_MAX = 2_000;

for (const skewMs of [90_000, -90_500]) {
  t.test(`a process's clock is off by ${skewMs} ms`, async (t) => {
    const env = await skewedClock(skewMs);
    await t.test('of a server', async (t) => {
      const server = await RedisServer.start({ env });
      t.teardown(() => server.stop());
      const client = await RespClient.connect(server.port);
      t.teardown(() => client.close());
      const [seconds, micros] = (await client.command('TIME')) as [string, string];
      const apart = Number(seconds) * 1000 + Number(micros) / 1000 - Date.now() - skewMs;
      t.ok(Math.abs(apart) < APART_MS_MAX, `${apart} ms`);
    });
    await t.test('and of a Node process, whose monotonic clock is not', async (t) => {
      const script = 'const at = process.hrtime.bigint(); console.log(`${Date.now()} ${at}`)';
      const child = await startChild(process.execPath, ['-e', script], { env });
      await child.ended;
      const [date, monotonic] = child.output().trim().split(' ');
      t.ok(Math.abs(Number(date) - Date.now() - skewMs) < APART_MS_MAX);
      t.ok(Math.abs(Number(BigInt(monotonic as string) - process.hrtime.bigint()) / 1e6) < APART_MS_MAX);
    });
  });
}
