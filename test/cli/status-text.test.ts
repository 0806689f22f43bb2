import t from 'tap';
import { COUNTERS, type Counts } from '../../src/base/metrics.js';
import { describeAge, describeStatus, fitStatus } from '../../src/cli/status-text.js';
import type { PoolCare } from '../../src/control/caretaker.js';
import type { Status } from '../../src/control/status.js';

const NOW = Date.parse('2026-05-01T12:00:00Z');
const none = Object.fromEntries(Object.keys(COUNTERS).map((name) => [name, 0])) as Counts;

const STATUS: Status = {
  version: '1.2.3',
  pid: 42,
  startedAt: '2026-05-01T10:57:00Z',
  uptimeSeconds: 3_780,
  ready: true,
  transport: 'epoll',
  listen: ['127.0.0.1:6380', 'unix:/run/r.sock'],
  configuration: { file: 'ringleader.yml', topologyVersion: 7, lastReload: null },
  fleet: {
    store: 'file',
    cluster: 'ringleader',
    member: 'a',
    isMember: true,
    leader: { name: 'a', term: 1 },
    topologyVersion: 7,
    members: [],
    trouble: null,
  },
  workers: [
    { index: 0, alive: true, sessions: 1_200, commandsPerSecond: 98_765, memoryBytes: 5 * 1024 * 1024 },
    { index: 1, alive: false, sessions: 0, commandsPerSecond: 0, memoryBytes: 0 },
  ],
  workerDeaths: 1,
  nodes: [
    {
      pool: 'main',
      name: 'a',
      address: '10.0.0.1:6379',
      state: 'up',
      since: '2026-05-01T11:59:30Z',
      version: '7.0.15',
      lastError: { at: '2026-05-01T11:58:00Z', reason: 'connection refused' },
      commandsQueued: 12_000,
    },
    {
      pool: 'main',
      name: 'b',
      address: '10.0.0.2:6379',
      state: 'down',
      since: '2026-05-01T09:00:00Z',
      version: null,
      lastError: { at: '2026-05-01T09:00:00Z', reason: 'no route' },
      commandsQueued: 0,
    },
  ],
  replicatedPools: [],
  counters: { ...none, commands: 1_234_567, sessionsOpen: 1_200, memoryBytes: 5 * 1024 * 1024, writesUnknown: 2 },
};

t.test('a status is told in words and tables', async (t) => {
  t.equal(
    describeStatus(STATUS, NOW),
    `Ringleader 1.2.3, process 42, up 1 h 3 min: ready
listens on 127.0.0.1:6380, unix:/run/r.sock (epoll)
configuration ringleader.yml, topology version 7

worker        sessions  commands/s   memory
0       up       1,200      98,765  5.0 MiB
1       DOWN         0           0      0 B
all              1,200      98,765  5.0 MiB
workers that died since the start: 1

node  pool  address              for   queued  version  last error
a     main  10.0.0.1:6379  up    30 s  12,000  7.0.15   connection refused (2 min ago)
b     main  10.0.0.2:6379  DOWN  3 h        0           no route (3 h ago)

counter
commands       1,234,567
writesUnknown          2
`,
  );
});

t.test('a reload that was refused is told with its reasons', async (t) => {
  const lastReload = { at: '2026-05-01T11:59:55Z', outcome: 'refused', reasons: ['node c is new'] } as const;
  const text = describeStatus(
    { ...STATUS, ready: false, configuration: { file: null, topologyVersion: 1, lastReload } },
    NOW,
  );
  t.match(text, 'NOT READY');
  t.match(text, 'configuration of its own');
  t.match(text, 'last reload 5 s ago: refused\n  node c is new\n');
});

t.test('a proxy that nobody uses yet says so', async (t) => {
  t.match(describeStatus({ ...STATUS, counters: none }, NOW), /no command has come yet\n$/);
});

t.test('on a screen that is too low the nodes that are up are left out first', async (t) => {
  const [up, down] = STATUS.nodes;
  if (up === undefined || down === undefined) throw new Error('two nodes');
  const many = Array.from({ length: 50 }, (_, index) => ({ ...up, name: `up${index}` }));
  const status = { ...STATUS, nodes: [...many, down] };
  const rows = (text: string) => text.trimEnd().split('\n').length;
  const whole = describeStatus(status, NOW);
  t.equal(fitStatus(status, NOW, rows(whole)), whole);
  t.equal(fitStatus(status, NOW, Number.POSITIVE_INFINITY), whole);
  const fitted = fitStatus(status, NOW, 25);
  t.equal(rows(fitted), 25);
  t.match(fitted, /^b +main .*\nup0 /m, 'the one that is down is the first');
  t.match(fitted, /^and 4\d more, all up$/m);
  t.match(fitStatus(status, NOW, 5), /^and 51 more, 1 not up$/m);
});

t.test('ages have their two largest units', async (t) => {
  const table: [number, string][] = [
    [-5, '0 s'],
    [999, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [3_599_000, '59 min 59 s'],
    [3_600_000, '1 h'],
    [90_000_000, '1 d 1 h'],
  ];
  for (const [ms, text] of table) t.equal(describeAge(ms), text);
});

t.test('of pools with replicated keys it is told whose votes count', async (t) => {
  const repair = { epoch: 3, source: 0, keysCompared: 12_000, keysReplaced: 4_000, keysDropped: 1, keysSettled: 0 };
  const hints = { bytes: 0, oldestMs: null, latenessMs: null };
  const nodes = [
    { name: 'a', standing: 'member', reason: null, repair: null, hints },
    { name: 'b', standing: 'repairing', reason: 'it was restarted', repair, hints },
    { name: 'c', standing: 'silent', reason: 'connection refused', repair: null, hints },
  ] as const;
  const sweep = { passes: 0, collected: 0, expired: 0, settled: 0, differing: 0, unburied: 0 };
  const pool = { pool: 'main', clusterId: 'id', withoutQuorum: [['a', 'b', 'c']], nodes, sweep, comparison: null };
  const text = describeStatus({ ...STATUS, replicatedPools: [pool] }, NOW);
  t.match(
    text,
    `
replicas in main
a                 member
b                 REPAIRING  it was restarted; in epoch 3, keys: 12,000 compared, 4,000 copied, 1 dropped
c                 SILENT     connection refused
NO QUORUM in 1 set of nodes: their keys are not served

counter`,
  );
});

t.test('a fleet is told with its members, who leads, and who lags', async (t) => {
  const since = '2026-05-01T10:57:00Z';
  const fleet: Status['fleet'] = {
    store: 'etcd',
    cluster: 'eu',
    member: 'b',
    isMember: true,
    leader: { name: 'a', term: 12 },
    topologyVersion: 7,
    members: [
      { name: 'a', version: '1.2.3', since, topologyVersion: 7, reason: null },
      { name: 'b', version: '1.2.4', since, topologyVersion: 6, reason: 'pool x is not in the configuration' },
    ],
    trouble: null,
  };
  const has = (text: string, part: string) => t.ok(text.includes(part), text);
  has(
    describeStatus({ ...STATUS, fleet }, NOW),
    `
fleet eu (etcd), topology version 7, led by a in term 12
member            version         up  topology
a       leader    1.2.3    1 h 3 min         7
b       this one  1.2.4    1 h 3 min         6  LAGS: pool x is not in the configuration

node `,
  );
  const lost = { ...fleet, isMember: false, leader: null, topologyVersion: null, trouble: 'no server answers' };
  const text = describeStatus({ ...STATUS, fleet: lost }, NOW);
  has(text, 'fleet eu (etcd), topology version unknown, NO LEADER');
  t.match(
    text,
    'b (this one) HAS NO LEASE: what needs agreement waits\nCOORDINATION STORE: no server answers\n\nnode ',
  );
  const alone = { ...STATUS.fleet, trouble: 'the disk is full' };
  has(describeStatus({ ...STATUS, fleet: alone }, NOW), '\nCOORDINATION STORE: the disk is full\n\nnode ');
});

t.test(
  'of keys of consistency eventual it is told what is kept for nodes, and since when copies are equal',
  async (t) => {
    const none = { bytes: 0, oldestMs: null, latenessMs: null };
    const nodes = [
      { name: 'a', standing: 'member', reason: null, repair: null, hints: none },
      {
        name: 'b',
        standing: 'member',
        reason: null,
        repair: null,
        hints: { bytes: 5_000, oldestMs: NOW - 61_000, latenessMs: 3_600_000 },
      },
      {
        name: 'c',
        standing: 'silent',
        reason: 'refused',
        repair: null,
        hints: { bytes: 9, oldestMs: NOW - 1_000, latenessMs: null },
      },
    ] as const;
    const sweep = { passes: 0, collected: 0, expired: 0, settled: 0, differing: 0, unburied: 0 };
    const compared = {
      copies: 'differ',
      isWhole: false,
      keys: 1_000_000,
      ranges: 3,
      pagesAgain: 9,
      behind: 3,
      mended: 2,
      latenessMs: 61_000,
    } as const;
    const comparison = { ...compared, beganAt: '2026-05-01T11:00:00.000Z', tookMs: 20_120, equalAt: null };
    const pool = { pool: 'main', clusterId: 'id', withoutQuorum: [], nodes, sweep, comparison };
    const text = (shown: PoolCare) => describeStatus({ ...STATUS, replicatedPools: [shown] }, NOW);
    t.match(
      text(pool),
      `
replicas in main
a                 member
b                 member  4.9 KiB of writes kept for it, the oldest for 1 min 1 s; what it was given last came 1 h after it was written
c                 SILENT  refused; 9 B of writes kept for it, the oldest for 1 s
COPIES DIFFER: never known to be equal; 1,000,000 keys compared at 2026-05-01T11:00:00.000Z, in 20.1 s: 3 behind, 2 mended (1 min 1 s after it was written, at most); NOT ALL NODES could be asked

counter`,
    );
    const equalAt = '2026-05-01T10:00:00.000Z';
    const alike = { behind: 0, mended: 0, latenessMs: null, equalAt };
    const equal = { ...pool, comparison: { ...comparison, ...alike, copies: 'equal', isWhole: true } } as const;
    const known = `all were with what was written before ${equalAt}, 2 h ago; 1,000,000 keys compared`;
    t.match(text(equal), `\ncopies are equal: ${known}`);
    t.match(text(equal), 'in 20.1 s: none behind\n');
    const unknown = { ...pool, comparison: { ...comparison, ...alike, copies: 'not known' } } as const;
    t.match(text(unknown), `\ncopies are NOT KNOWN to be equal: ${known}`);
    t.match(text(unknown), 'none behind; NOT ALL NODES could be asked\n');
  },
);
