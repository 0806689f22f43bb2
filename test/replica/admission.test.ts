import t from 'tap';
import {
  type AdmissionOptions,
  DURABLE,
  durabilityFault,
  type NodeVerdict,
  type NodeView,
  planAdmission,
} from '../../src/replica/admission.js';
import type { NodeRecord } from '../../src/replica/member-step.js';
import { formatNodeRecord, parseNodeRecord } from '../../src/replica/node-record.js';
import { Acceptor, type Engine } from '../help/acceptor.js';

const NO_ENGINE: Engine<null, null, string> = {
  apply: (_, stored) => ({ stored, replies: null }),
  read: () => null,
};

type Server = Acceptor<null, null, string>;

let lives = 0;
function life(): { runId: string; replId: string } {
  lives++;
  return { runId: `run${lives}`, replId: `repl${lives}` };
}

function startServer(): Server {
  return new Acceptor({ engine: NO_ENGINE, clock: () => 0, process: life() });
}

function viewOf(server: Server, index: number): NodeView {
  const facts = server.performMember({ kind: 'look' }, '');
  if (facts.kind !== 'facts') throw new Error('a look is always answered');
  return { name: `n${index}`, facts, durabilityFault: null, keysFound: 0 };
}

const OPTIONS: AdmissionOptions = { keepsData: false, newClusterId: 'c1', wasBegun: false };

function plan(
  servers: readonly Server[],
  options: Partial<AdmissionOptions> = {},
  silent: number[] = [],
): NodeVerdict[] {
  const views = servers.map((server, index) => {
    const view = viewOf(server, index);
    return silent.includes(index) ? { ...view, facts: null } : view;
  });
  return planAdmission(views, { ...OPTIONS, ...options });
}

/** Does what verdicts of now say. */
function carryOut(servers: readonly Server[], verdicts: readonly NodeVerdict[]): void {
  for (const [index, verdict] of verdicts.entries()) {
    if (verdict.kind !== 'admit') continue;
    const { expected, record } = verdict;
    const server = servers[index] as Server;
    server.performMember({ kind: 'admit', expected, process: server.process, record, epoch: null }, '');
  }
}

function recordAt(server: Server | undefined): NodeRecord | null {
  return parseNodeRecord(server?.data.record ?? '');
}

function kindsOf(verdicts: readonly NodeVerdict[]): string[] {
  return verdicts.map((verdict) => (verdict.kind === 'admit' ? verdict.as : verdict.kind));
}

function startPool(): Server[] {
  const servers = [startServer(), startServer(), startServer()];
  carryOut(servers, plan(servers));
  carryOut(servers, plan(servers));
  return servers;
}

t.test('a pool that is started for the first time joins, and then all are members', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  const joining = plan(servers);
  t.same(kindsOf(joining), ['joining', 'joining', 'joining']);
  carryOut(servers, joining.slice(0, 2));
  t.same(kindsOf(plan(servers)), ['waiting', 'waiting', 'joining']);
  carryOut(servers, plan(servers));
  t.same(kindsOf(plan(servers)), ['member', 'member', 'member']);
  carryOut(servers, plan(servers).slice(0, 1));
  t.same(kindsOf(plan(servers)), ['member', 'member', 'member'], 'one says member: the others follow');
  t.equal(plan(servers)[0]?.kind, 'member');
  t.equal(plan(servers)[1]?.kind, 'admit');
  carryOut(servers, plan(servers));
  for (const server of servers) {
    t.match(recordAt(server), { clusterId: 'c1', admission: { epoch: 0, count: 1 }, status: { kind: 'member' } });
  }
});

t.test('a start of nodes that have all lost what they had is told apart by one who has seen them before', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  carryOut(servers, plan(servers, { wasBegun: true }).slice(0, 1));
  carryOut(servers, plan(servers));
  carryOut(servers, plan(servers).slice(0, 2));
  carryOut(servers, plan(servers));
  t.same(
    servers.map((server) => recordAt(server)),
    servers.map((server, index) => ({
      clusterId: 'c1',
      name: `n${index}`,
      admission: { epoch: 0, count: 2 },
      process: server.process,
      status: { kind: 'member' },
    })),
  );
});

t.test('who has seen them before says so also where others had them join', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  carryOut(servers, plan(servers));
  carryOut(servers, plan(servers, { wasBegun: true }).slice(0, 1));
  carryOut(servers, plan(servers));
  t.same(
    servers.map((server) => recordAt(server)?.admission.count),
    [2, 2, 2],
  );
});

t.test('a first start waits for the last node', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  const verdicts = plan(servers, {}, [2]);
  t.same(kindsOf(verdicts), ['waiting', 'waiting', 'silent']);
  t.match(verdicts[0], { reason: /missing: n2/ });
});

t.test('empty nodes wait for one that is away: it may be the member that they would shut out', async (t) => {
  const servers = startPool();
  const empty = servers.slice(0, 2);
  for (const server of empty) server.restart(life());
  t.same(kindsOf(plan(servers, { wasBegun: true }, [2])), ['waiting', 'waiting', 'silent']);
  t.same(kindsOf(plan(servers)), ['stranger', 'stranger', 'member'], 'by what it says they are given what it has');
  // As if nobody waited for it.
  for (let step = 0; step < 2; step++) carryOut(empty, plan(empty, { newClusterId: 'c2' }));
  t.same(kindsOf(plan(servers)), ['member', 'member', 'refused']);
});

t.test('a first start waits for nodes that may have votes', async (t) => {
  const servers = [startServer(), startServer()];
  const views = servers.map(viewOf);
  const unfit = views.map((view, at) => ({ ...view, facts: view.facts && { ...view.facts, replicas: at } }));
  t.match(planAdmission(unfit, OPTIONS), [{ kind: 'waiting', reason: /n1: it has replicas/ }, { kind: 'waiting' }]);
});

t.test('a first start waits until nodes that have data are emptied, and names them', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  const views = () => servers.map(viewOf);
  const filled = (keysFound: number) => views().map((view, at) => (at === 1 ? { ...view, keysFound } : view));
  const verdicts = planAdmission(filled(3), OPTIONS);
  t.same(kindsOf(verdicts), ['waiting', 'waiting', 'waiting']);
  t.match(verdicts[0], { reason: /all nodes must be empty; n1 has 3 keys: empty them/ });
  carryOut(servers, plan(servers));
  t.same(
    kindsOf(planAdmission(filled(1), OPTIONS)),
    ['waiting', 'waiting', 'waiting'],
    'also what came after it joined',
  );
  carryOut(servers, planAdmission(filled(0), OPTIONS));
  t.same(kindsOf(planAdmission(filled(3), OPTIONS)), ['member', 'member', 'member'], 'members have keys');
});

t.test('two that start a pool at once agree on one cluster', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  const one = plan(servers, { newClusterId: 'x' });
  const other = plan(servers, { newClusterId: 'y' });
  carryOut(servers.slice(0, 1), other.slice(0, 1));
  carryOut(servers, one);
  carryOut(servers, other);
  t.same(
    servers.map((server) => recordAt(server)?.clusterId),
    ['y', 'x', 'x'],
  );
  t.same(kindsOf(plan(servers, { newClusterId: 'z' })), ['joining', 'waiting', 'waiting']);
  carryOut(servers, plan(servers, { newClusterId: 'z' }));
  carryOut(servers, plan(servers, { newClusterId: 'z' }));
  t.same(kindsOf(plan(servers)), ['member', 'member', 'member']);
  t.ok(servers.every((server) => recordAt(server)?.clusterId === 'x'));
});

t.test('who joined and was restarted before all were members is a stranger, not a member', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  carryOut(servers, plan(servers));
  carryOut(servers, plan(servers).slice(0, 2));
  servers[2]?.restart(life(), servers[2].save());
  t.same(kindsOf(plan(servers)), ['member', 'member', 'stranger']);
});

t.test('who joined and was restarted joins again while nobody is a member', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  carryOut(servers, plan(servers));
  servers[2]?.restart(life(), servers[2].save());
  t.same(kindsOf(plan(servers)), ['waiting', 'waiting', 'joining']);
});

t.test('a node that restarted, empty or with its data, or was a replica, is a stranger', async (t) => {
  const servers = startPool();
  servers[0]?.restart(life());
  servers[1]?.restart(life(), servers[1].save());
  servers[2]?.resync(servers[2].save(), 'repl-other');
  t.match(plan(servers), [
    { kind: 'stranger', reason: /never admitted/ },
    { kind: 'stranger', reason: /restarted/ },
    { kind: 'stranger', reason: /replica/ },
  ]);
});

t.test('nobody starts a pool anew of which one node says that it is under repair', async (t) => {
  const servers = startPool();
  for (const server of servers) server.flush();
  const status = { kind: 'repairing', epoch: 2 } as const;
  const process = (servers[0] as Server).process;
  (servers[0] as Server).data.record = formatNodeRecord({
    clusterId: 'c1',
    name: 'n0',
    admission: { epoch: 0, count: 1 },
    process,
    status,
  });
  t.same(kindsOf(plan(servers)), ['stranger', 'stranger', 'stranger']);
});

t.test('who joined is no member while nobody says that all had joined', async (t) => {
  const servers = [startServer(), startServer(), startServer()];
  carryOut(servers, plan(servers));
  const { data, process } = servers[0] as Server;
  const status = { kind: 'repairing', epoch: 2 } as const;
  data.record = formatNodeRecord({ clusterId: 'c1', name: 'n0', admission: { epoch: 0, count: 1 }, process, status });
  t.same(kindsOf(plan(servers)), ['stranger', 'stranger', 'stranger']);
});

t.test('where restarts keep the data a node comes back by its record, one admission later', async (t) => {
  const servers = startPool();
  servers[1]?.restart(life(), servers[1].save());
  const verdicts = plan(servers, { keepsData: true });
  t.same(kindsOf(verdicts), ['member', 'restarted', 'member']);
  carryOut(servers, verdicts);
  t.match(recordAt(servers[1]), { admission: { epoch: 0, count: 2 }, process: servers[1]?.process });
  t.same(kindsOf(plan(servers)), ['member', 'member', 'member']);
});

t.test('where restarts keep the data, all else is a stranger still', async (t) => {
  const keepsData = { keepsData: true };
  const emptied = startPool();
  emptied[1]?.restart(life());
  t.equal(plan(emptied, keepsData)[1]?.kind, 'stranger', 'without its data');
  const copied = startPool();
  copied[1]?.resync((copied[0] as Server).save(), 'repl-other');
  copied[1]?.restart(life(), copied[1].save());
  t.match(plan(copied, keepsData)[1], { kind: 'stranger', reason: /that of node n0/ }, 'with the data of another');
  const rolledBack = startPool();
  rolledBack[1]?.resync(rolledBack[1].save(), 'repl-other');
  t.equal(plan(rolledBack, keepsData)[1]?.kind, 'stranger', 'the same process, another replid');
  const older = startPool();
  const file = (older[1] as Server).save();
  older[1]?.restart(life(), older[1].save());
  carryOut(older, plan(older, keepsData));
  older[1]?.resync(file, 'repl-other');
  t.equal(
    plan(older, keepsData)[1]?.kind,
    'stranger',
    'a replica of its older self, whose record names a process that ended',
  );
  const careless = startPool();
  careless[1]?.restart(life(), careless[1].save());
  const views = careless.map(viewOf).map((view) => ({ ...view, durabilityFault: 'appendfsync is everysec' }));
  t.match(planAdmission(views, { ...OPTIONS, ...keepsData })[1], { kind: 'stranger', reason: /appendfsync/ });
});

t.test('a node of another cluster is refused by name', async (t) => {
  const servers = startPool();
  const others = [startServer(), startServer(), startServer()];
  carryOut(others, plan(others, { newClusterId: 'c2' }));
  carryOut(others, plan(others, { newClusterId: 'c2' }));
  const [a, b, c, d] = [servers[0], servers[1], others[2], others[1]] as Server[];
  const verdicts = plan([a, b, c] as Server[]);
  t.same(kindsOf(verdicts), ['member', 'member', 'refused']);
  t.match(verdicts[2], { reason: /node n2 belongs to cluster c2, and this pool is cluster c1/ });
  const split = plan([a, d] as Server[]);
  t.same(kindsOf(split), ['refused', 'refused'], 'nobody can say which cluster the pool is');
});

t.test('settings that could lose what was accepted are named', async (t) => {
  const good = new Map(DURABLE);
  t.equal(durabilityFault(good), null);
  for (const [name] of DURABLE) {
    t.match(durabilityFault(new Map([...good, [name, 'other']])), `${name} is other`);
    const missing = new Map(good);
    missing.delete(name);
    t.match(durabilityFault(missing), `${name} is not known`);
  }
});
