/** Nodes that die, stop and lose their connections while 50 pipelining clients check every reply. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { Relay } from '../help/relay.js';
import { Seeded } from '../transport/seeded.js';
import { DURABLE, FAULT_LIMITS, Storm } from './storm.js';

const CLIENTS = 50;
const COMMANDS = 200_000;
const CUT_NODE = 2;
const CUTS = 30;

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}, clients get their own replies while nodes are killed, paused and cut off`, async (t) => {
    const random = new Seeded();
    t.comment(`SEED=${random.seed}`);
    const relay = await Relay.start();
    t.teardown(() => relay.stop());
    const deployment = await deploy(t, {
      transport,
      limits: FAULT_LIMITS,
      redis: { args: DURABLE },
      url: (server, index) => (index === CUT_NODE ? relay.to(server.port) : server.url),
    });
    const storm = await Storm.start(deployment, CLIENTS, random);
    await storm.goesOn('before any fault');
    await storm.killNode(0);
    await storm.pauseNode(1);
    await storm.cutNode(CUT_NODE, relay, CUTS, random);
    await storm.hasDone(COMMANDS);
    await storm.stop();
    t.same(storm.faults(), []);
    t.same(await storm.verify(), [], 'the nodes hold what clients were told');
    t.notOk(deployment.proxy.logLines.some(({ msg }) => msg === 'worker-died'));
    t.comment(storm.summary());
  });
}
