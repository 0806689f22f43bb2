/**
 * Thousands of random steps of clients, nodes and network against one data plane, judged at every reply (see sim/history.ts).
 * SEED=… in the environment brings a run back; STEPS=… makes them longer.
 */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { Random, randomFromSeed } from '../help/random.js';
import { Simulation, type Weather } from './sim/simulation.js';

const STEPS = Number(process.env['STEPS'] ?? 1_500);
const RUNS = Number(process.env['RUNS'] ?? 2);

const SMALL = {
  sessionCommandsMax: 12,
  sessionRequestBytesMax: 4_000,
  sessionOutputSoftBytes: 3_000,
  largeValueBytes: 1_000,
  privateConnectionsSpareMax: 2,
};
const QUICK = {
  connectTimeoutMs: 200,
  queueTimeoutMs: 250,
  requestTimeoutMs: 500,
  stallTimeoutMs: 1_000,
  idlePingMs: 150,
  reconnectMinMs: 10,
  reconnectMaxMs: 100,
};
const PATIENT = { connectTimeoutMs: 1e9, queueTimeoutMs: 1e9, requestTimeoutMs: 1e9, stallTimeoutMs: 1e9 };
const CALM: Weather = {
  kills: 0,
  freezes: 0,
  breaks: 0,
  babbles: 0,
  clients: 0,
  leaps: 0,
  passwords: 0,
  overloads: false,
  scarcity: null,
  limits: {},
};
const STORM = { kills: 3, freezes: 3, breaks: 8, babbles: 3, clients: 20, leaps: 4, passwords: 4 };

const WEATHERS: readonly [name: string, weather: Weather][] = [
  ['nothing goes wrong: no reply is an error', { ...CALM, limits: { ...SMALL, ...PATIENT, idlePingMs: 1e9 } }],
  // Only who waits for data waits for long.
  ['nobody has patience', { ...CALM, limits: { ...SMALL, ...PATIENT, requestTimeoutMs: 150 } }],
  ['clients come and go', { ...CALM, clients: 60, limits: { ...SMALL, ...PATIENT, idlePingMs: 50 } }],
  ['connections break', { ...CALM, clients: 10, breaks: 12, limits: { ...SMALL, ...QUICK } }],
  ['nodes die and return', { ...CALM, clients: 10, kills: 8, limits: { ...SMALL, ...QUICK } }],
  ['nodes stop and go on', { ...CALM, clients: 10, freezes: 4, leaps: 4, limits: { ...SMALL, ...QUICK } }],
  ['nodes get other passwords', { ...CALM, clients: 10, passwords: 20, limits: { ...SMALL, ...QUICK } }],
  ['everything at once', { ...CALM, ...STORM, limits: { ...SMALL, ...QUICK } }],
  [
    'queues overflow, and clients are cut off',
    {
      ...CALM,
      clients: 20,
      freezes: 2,
      breaks: 4,
      overloads: true,
      limits: {
        ...SMALL,
        ...QUICK,
        nodeQueueCommandsMax: 15,
        nodeQueueBytesMax: 12_000,
        sessionOutputHardBytes: 9_000,
      },
    },
  ],
  [
    'private connections run short',
    { ...CALM, clients: 20, breaks: 4, overloads: true, limits: { ...SMALL, ...QUICK, privateConnectionsMax: 3 } },
  ],
  [
    'buffer memory runs out',
    {
      ...CALM,
      clients: 20,
      freezes: 2,
      breaks: 4,
      overloads: true,
      scarcity: { arenaBytes: 20 * 1024 * 1024, valueBytes: 700_000 },
      limits: { ...QUICK, largeValueBytes: 400_000, workerMemoryMax: 14 * 1024 * 1024 },
    },
  ],
];

for (const [name, weather] of WEATHERS) {
  t.test(name, async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    const before = pendingsInUse();
    let [transactions, waits] = [0, 0];
    for (let run = 0; run < RUNS; run++) {
      const simulation = new Simulation(new Random(random.below(2 ** 31)), weather);
      simulation.run(STEPS);
      const { answered, failed, cutOff, plane } = simulation;
      const { tally } = simulation.history;
      transactions += Math.min(tally.transactions, tally.transactionsRefused);
      waits += tally.waitsServed;
      t.comment(`${answered} replies, ${failed} of them errors, ${cutOff} clients cut off, ${counts(plane.counts)}`);
      t.comment(`of sessions with state: ${JSON.stringify(tally)}`);
      t.ok(answered - failed > STEPS / (weather.scarcity === null ? 3 : 10), 'there was something to judge');
      if (weather.limits.queueTimeoutMs === PATIENT.queueTimeoutMs) t.equal(failed, 0);
      t.equal(plane.usedBytes, 0, 'all memory is given back');
      t.equal(pendingsInUse(), before, 'no pending is left');
      t.equal(plane.counts.sessionsOpen, 0);
    }
    t.ok(transactions > 0 && waits > 0, 'transactions were done, and refused, and there was waiting');
  });
}

t.test('the plane is stopped while everything goes on', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const before = pendingsInUse();
  for (let run = 0; run < 5 * RUNS; run++) {
    const weather = { ...CALM, ...STORM, limits: { ...SMALL, ...QUICK } };
    const simulation = new Simulation(new Random(random.below(2 ** 31)), weather);
    simulation.runAndDrain(random.below(300));
    t.equal(simulation.plane.usedBytes, 0, 'all memory is given back');
    t.equal(pendingsInUse(), before, 'no pending is left');
  }
});

/** Which of the faults the run has really met. */
function counts(all: Readonly<Record<string, number>>): string {
  const names = ['nodeConnectionsLost', 'nodeConnectionsRetired', 'readsRetried', 'writesUnknown', 'commandsNodeDown'];
  return [
    ...names,
    'privateConnectionsLent',
    'privateConnectionsRefused',
    'commandsOverloaded',
    'commandsTimedOut',
    'sessionPauses',
  ]
    .map((name) => `${name} ${all[name]}`)
    .join(', ');
}
