/** A million commands of 50 checking clients, and faults of all nodes in an order left to chance. */
import t from 'tap';
import { DURABLE, FAULT_LIMITS, Storm } from '../e2e/storm.js';
import { deploy } from '../help/deployment.js';
import { Relay } from '../help/relay.js';
import { Seeded } from '../transport/seeded.js';

const CLIENTS = 50;
const COMMANDS = 1_000_000;
const FAULTS = 15;
const CUTS = 50;

const CASES = [
  { transport: 'io_uring', largePerMille: 0 },
  { transport: 'io_uring', largePerMille: 1 },
  { transport: 'epoll', largePerMille: 0 },
  { transport: 'epoll', largePerMille: 1 },
  { transport: 'node', largePerMille: 0 },
  { transport: 'node', largePerMille: 1 },
] as const;

for (const { transport, largePerMille } of CASES) {
  const values = largePerMille === 0 ? 'small values' : 'values of all sizes';
  t.test(
    `on ${transport}, a million commands with ${values} get their own replies through fault after fault`,
    async (t) => {
      const random = new Seeded();
      t.comment(`SEED=${random.seed}`);
      const relays = await Promise.all([0, 1, 2].map(() => Relay.start()));
      t.teardown(() => Promise.all(relays.map((relay) => relay.stop())));
      const deployment = await deploy(t, {
        transport,
        limits: FAULT_LIMITS,
        redis: { args: DURABLE },
        url: (server, index) => (relays[index] as Relay).to(server.port),
      });
      const storm = await Storm.start(deployment, CLIENTS, random, largePerMille);
      for (let fault = 0; fault < FAULTS || storm.done < COMMANDS; fault++) {
        const node = random.below(3);
        const kind = random.below(3);
        if (kind === 0) await storm.killNode(node);
        else if (kind === 1) await storm.pauseNode(node);
        else await storm.cutNode(node, relays[node] as Relay, CUTS, random);
      }
      await storm.stop();
      t.same(storm.faults(), []);
      t.same(await storm.verify(), [], 'the nodes hold what clients were told');
      t.notOk(deployment.proxy.logLines.some(({ msg }) => msg === 'worker-died'));
      t.comment(storm.summary());
    },
  );
}
