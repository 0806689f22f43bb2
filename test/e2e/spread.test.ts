/** Where clients go: every worker gets as many as the others, however they come. */
import t from 'tap';
import { canReusePort } from '../../src/transport/choose.js';
import { Crowd } from '../help/crowd.js';
import { deploy } from '../help/deployment.js';
import { sessionsOf } from '../help/sessions.js';
import { waitFor } from '../help/wait-for.js';

const CLIENTS_PER_WORKER = 50;
/** The most that a worker has where the kernel spreads them, which it does by chance: of two or of four, more than six standard deviations. */
const CHANCE_MAX = 1.8;
const PING = '*1\r\n$4\r\nPING\r\n';
const PONG_BYTES = 7;

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  for (const workers of [2, 4]) {
    const options = { skip: transport === 'node' && !canReusePort() && 'this Node has one worker with that driver' };
    t.test(
      `${transport}, ${workers} workers: clients are spread evenly, and those that come later too`,
      options,
      async (t) => {
        const { port, proxy } = await deploy(t, { nodes: 1, workers, transport });
        const clients = workers * CLIENTS_PER_WORKER;
        const spread = async (count: number) => {
          const sessions = await waitFor(`${count} clients in /status`, async () => {
            const each = await sessionsOf(proxy);
            return each.reduce((sum, one) => sum + one, 0) === count && each;
          });
          t.equal(sessions.length, workers);
          // Two workers that accept in the same moment may both choose the same third.
          const most = transport === 'node' ? (CHANCE_MAX * count) / workers : Math.ceil(count / workers) + workers;
          t.ok(Math.max(...sessions) <= most, `${sessions.join(', ')}: at most ${most}`);
        };

        const together = await Crowd.connect(port, clients);
        t.teardown(() => together.close());
        await together.ask(() => PING, PONG_BYTES);
        await spread(clients);

        for (let count = 0; count < clients; count++) {
          const one = await Crowd.connect(port, 1);
          t.teardown(() => one.close());
          await one.ask(() => PING, PONG_BYTES);
        }
        await spread(2 * clients);

        together.close();
        await spread(clients);
        const others = await Crowd.connect(port, clients);
        t.teardown(() => others.close());
        await others.ask(() => PING, PONG_BYTES);
        await spread(2 * clients);
      },
    );
  }
}

t.test('while one worker is kept busy, new clients are spread evenly all the same', async (t) => {
  const { port, proxy } = await deploy(t, { nodes: 1, workers: 2 });
  const busy = await Crowd.connect(port, 1);
  t.teardown(() => busy.close());
  const commands = 5_000;
  let isOver = false;
  const asking = (async () => {
    while (!isOver) await busy.ask(() => PING.repeat(commands), commands * PONG_BYTES);
  })();
  const crowd = await Crowd.connect(port, 2 * CLIENTS_PER_WORKER - 1);
  t.teardown(() => crowd.close());
  await crowd.ask(() => PING, PONG_BYTES);
  isOver = true;
  await asking;
  const sessions = await waitFor('all clients in /status', async () => {
    const each = await sessionsOf(proxy);
    return each.reduce((sum, one) => sum + one, 0) === 2 * CLIENTS_PER_WORKER && each;
  });
  t.ok(Math.max(...sessions) <= CLIENTS_PER_WORKER + 2, sessions.join(', '));
});
