/**
 * Every counter of the data plane, in one table. A worker counts in its own memory and publishes to memory shared with
 * the control plane twice a second, which adds the workers up; what INFO says of clients at once.
 */
export const COUNTERS = {
  commands: 'commands taken from clients',
  sessionsAccepted: 'client connections accepted',
  sessionsRefused: 'client connections refused at clientsMax',
  sessionsOpen: 'client connections open now',
  protocolErrors: 'client connections closed for a protocol error',
  sessionPauses: 'times a session was not read for a while: in-flight or output limit',
  sessionOutputCloses: 'sessions closed at sessionOutputHardBytes',
  subscriberOutputCloses: 'clients with subscriptions closed at subscriberOutputSoftBytes or subscriberOutputHardBytes',
  sessionMemoryCloses: 'sessions closed at workerMemoryMax',
  sessionDeadlineCloses: 'sessions closed at idleTimeoutMs, requestDeadlineMs or authDeadlineMs',
  sessionsKilled: 'sessions closed by CLIENT KILL',
  sessionsPaused: 'client connections whose command waits now for the end of CLIENT PAUSE',
  sessionsWaiting: 'client connections whose command waits now for data of a replicated key (BLPOP, XREAD BLOCK)',
  sessionsTracking: 'client connections that track keys now (CLIENT TRACKING)',
  authFailures: 'wrong users or passwords given',
  acceptPauses: 'times accepting paused for lack of descriptors',
  nodeConnects: 'connections to nodes that became ready',
  nodeConnectFailures: 'connections to nodes that could not be made',
  nodeConnectionsLost: 'ready connections to nodes that were lost',
  nodeConnectionsRetired: 'connections to nodes taken out of common use for a large value or a busy script',
  repliesBrokenOff: 'client connections closed in the middle of a large reply that the node could not finish',
  largeValuesShared: 'large values that stayed on the common connection to their node',
  requestsPassedOn: 'large requests that went to their nodes as they came, never held as a whole',
  requestsHeldWhole:
    'large requests that were held whole in memory, though they might have gone to their nodes as they came',
  privateConnectionsOpen: 'connections to nodes that serve one client alone, open now: in use and spare',
  privateConnectionsLent: 'times a client got a connection to a node for itself',
  privateConnectionsRefused: 'times it did not, at privateConnectionsMax',
  readsRetried: 'reads sent again, after their connection was lost, or when a large reply came before theirs',
  writesUnknown: 'writes answered -UNKNOWN',
  commandsNodeDown: 'commands answered -NODEDOWN',
  commandsOverloaded: 'commands answered -OVERLOADED',
  commandsTimedOut: 'commands given up at requestTimeoutMs or queueTimeoutMs',
  scriptsSentWhole: 'scripts sent whole that were called by their SHA1 (EVALSHA)',
  scriptsForgotten: 'scripts forgotten at scriptsBytesMax',
  gathers: 'commands put together of what several nodes have',
  gatheredBytes: 'bytes of values that such commands have read for it',
  gathersRefused: 'such commands refused at gatherBytesMax, gatherKeysMax or gatherWorkerBytesMax',
  replicatedReads: 'reads of replicated keys answered in one round trip: enough copies agreed',
  replicatedReadRounds:
    'reads of replicated keys that took two round trips or more: the first copies asked did not agree, or were silent',
  replicatedPlainReads: 'reads of weak keys, and after RL.CONSISTENCY weak, that were sent to one copy as they came',
  replicatedWrites: 'writes of replicated keys that were carried out',
  replicatedPrepares: 'times promises had to be asked for first, a round trip more',
  replicatedRefusals: 'ballots for replicated keys that were refused: somebody else came before',
  replicatedSettles: 'times it had to be found out what became of a write of a replicated key',
  replicatedInstalls: 'whole values sent to a copy that was behind',
  replicatedMends: 'times copies that were seen to be behind were brought up to date',
  replicatedDifferences: 'times copies with equal ballots were found to differ',
  replicatedExpiries: 'replicated keys that were found expired and written off',
  replicatedUnknown: 'commands on replicated keys answered -UNKNOWN',
  replicatedNoQuorum: 'commands on replicated keys answered -NOQUORUM: too few nodes count',
  replicatedOvertaken: 'commands on replicated keys given up since others kept coming before them',
  replicatedCursorsLost:
    'walks by HSCAN, SSCAN or ZSCAN that had to begin again, as the node of their cursor was gone or behind',
  replicatedUnable: 'commands on replicated keys that too few nodes could carry out',
  replicatedCrowded: 'commands refused at replicatedKeyQueueMax: too many waited for the same key',
  replicatedOverdue: 'commands on replicated keys whose turn had not come after requestTimeoutMs',
  replicatedBytesRefused: 'commands refused at replicatedBytesMax',
  replicatedStepsRefused: 'steps that were not sent to a node at nodeQueueBytesMax or nodeQueueCommandsMax',
  replicatedImpatient:
    'times a copy of a replicated key did not answer within replicatedPatienceMs, and another way was tried',
  replicatedKeysForgotten: 'replicated keys that were forgotten at replicatedKeysMax',
  replicatedHints: 'writes of keys of consistency eventual that a copy has missed, and that are kept for it',
  replicatedHintsDropped:
    'writes that a copy has missed and that were not kept, at hintBytesMax or hintAgeMaxMs or for lack of room on the disk: comparing the nodes brings them',
  replicatedHintsSetAside:
    'times a node refused what it had missed again and again, and was given what came behind it first: that is kept on',
  replicatedAtOneNode:
    'writes that one node carried out, as scripts, and whose whole value was then sent to the others',
  replicatedTooLarge: 'times a node refused to carry out such a write at replicatedScriptBytesMax',
  locksAcquired: 'locks taken by LOCK.ACQUIRE',
  locksContended:
    'times LOCK.ACQUIRE got a lock at fewer nodes than it takes, as others wanted it at the same time, and gave it back',
  locksWaiting: 'client connections that wait for a lock now (LOCK.ACQUIRE with WAIT)',
  locksCrowded: 'commands refused at lockQueueMax: too many waited for the same lock',
  lockListsRefused:
    'LOCK.LIST refused at lockListMax: so many names of locks fit the pattern; or as 4 were under way in the worker',
  sessionLocksHeld: 'locks that clients have now for as long as they are connected (SESSION)',
  sessionLocksLost:
    'client connections closed since a lock that they had for as long as they are connected could not be known any more to be held',
  sessionLocksRefused: 'commands refused at sessionLocksMax: one client had so many locks (SESSION)',
  locksTakenBack: 'times what a command on a lock had written to a node was taken back: no majority had said the same',
  locksNoQuorum: 'commands on locks answered -NOQUORUM or -UNKNOWN: too few nodes count, or answered',
  memoryBytes: 'bytes of buffers in use now',
} as const;

export type Counter = keyof typeof COUNTERS;

const NAMES = Object.keys(COUNTERS) as Counter[];
const GAUGES: ReadonlySet<Counter> = new Set<Counter>([
  ...(['sessionsOpen', 'sessionsPaused', 'sessionsWaiting', 'sessionsTracking'] as const),
  ...(['privateConnectionsOpen', 'locksWaiting', 'sessionLocksHeld', 'memoryBytes'] as const),
]);
const [ACCEPTED, REFUSED, PAUSED, WAITING, WAITING_FOR_LOCKS, TRACKING] = (
  [
    ...(['sessionsAccepted', 'sessionsRefused', 'sessionsPaused', 'sessionsWaiting'] as const),
    ...(['locksWaiting', 'sessionsTracking'] as const),
  ] satisfies Counter[]
).map((name) => NAMES.indexOf(name)) as [number, number, number, number, number, number];

/** Shared memory for the counters of `workers` workers. */
export function metricsMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * NAMES.length * Float64Array.BYTES_PER_ELEMENT);
}

/** The counters of one worker: plain fields, incremented in place. */
export type Counts = { -readonly [name in Counter]: number };

export class Metrics {
  readonly counts: Counts;
  private readonly shared: Float64Array;
  /** What workers of this index that ended before had counted: counters only grow. */
  private readonly before: Float64Array;

  constructor(memory: SharedArrayBuffer, worker: number) {
    this.counts = Object.fromEntries(NAMES.map((name) => [name, 0])) as Counts;
    const offset = worker * NAMES.length * Float64Array.BYTES_PER_ELEMENT;
    this.shared = new Float64Array(memory, offset, NAMES.length);
    this.before = this.shared.slice();
  }

  publish(): void {
    for (const [index, name] of NAMES.entries()) {
      const before = GAUGES.has(name) ? 0 : (this.before[index] as number);
      this.shared[index] = before + this.counts[name];
    }
  }

  /**
   * Publishes what INFO says of clients. To be called in each turn before anything is sent: so whoever has heard of it finds it in INFO,
   * whichever worker is asked.
   */
  publishClients(): void {
    const { counts, shared, before } = this;
    shared[ACCEPTED] = (before[ACCEPTED] as number) + counts.sessionsAccepted;
    shared[REFUSED] = (before[REFUSED] as number) + counts.sessionsRefused;
    shared[PAUSED] = counts.sessionsPaused;
    shared[WAITING] = counts.sessionsWaiting;
    shared[WAITING_FOR_LOCKS] = counts.locksWaiting;
    shared[TRACKING] = counts.sessionsTracking;
  }
}

/** The sum over all workers, as last published. */
export function readMetrics(memory: SharedArrayBuffer): Counts {
  const values = new Float64Array(memory);
  const sums = Object.fromEntries(NAMES.map((name) => [name, 0])) as Counts;
  for (let at = 0; at < values.length; at++) sums[NAMES[at % NAMES.length] as Counter] += values[at] as number;
  return sums;
}

/** Those of one worker, as last published. */
export function readWorkerMetrics(memory: SharedArrayBuffer, worker: number): Counts {
  const values = new Float64Array(memory, worker * NAMES.length * Float64Array.BYTES_PER_ELEMENT, NAMES.length);
  return Object.fromEntries(NAMES.map((name, at) => [name, values[at] as number])) as Counts;
}

/** Shared memory for `nextClientId`. */
export function clientIdMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
}

/** A number that no other client of this process ever had; they grow. */
export function nextClientId(memory: SharedArrayBuffer): number {
  return Number(Atomics.add(new BigInt64Array(memory), 0, 1n)) + 1;
}
