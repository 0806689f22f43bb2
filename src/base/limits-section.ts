/**
 * The section `limits` of the configuration, and that of the same name in a pool, which overrides it for the pool's nodes.
 *
 *   limits: { requestTimeoutMs: 2s, bulkBytesMax: 64mb }
 *   pools: { far: { nodes: […], limits: { connectTimeoutMs: 5s } } }
 */
import { z } from 'zod';
import { DEFAULT_LIMITS, type Limits, type NodeLimits, nodeLimitsOf } from './limits.js';
import { about, bytes, type Complain, expecting, milliseconds, wholeNumber } from './schema.js';
import { formatBytes, formatMilliseconds } from './units.js';
import type { Path } from './yaml-source.js';

const MEBI = 2 ** 20;
const GIBI = 2 ** 30;
const COUNT_MAX = 100_000_000;
const DAY_MS = 86_400_000;
const NEVER = ', 0 for never';
const FORM = 'a map of limits: { requestTimeoutMs: 5s }';

/** How each limit is written, between which bounds it makes sense, and what it is for. */
const NODE_KEYS = {
  nodeQueueBytesMax: about(
    bytes(1, 2 * GIBI),
    'Bytes that may wait for one node on one connection, sent or not, until their replies have come. Beyond, commands for it get `-OVERLOADED` and were not sent; other nodes go on.',
    stated('nodeQueueBytesMax'),
  ),
  nodeQueueCommandsMax: about(
    wholeNumber(1, COUNT_MAX),
    'Commands that may wait for one node on one connection, as nodeQueueBytesMax bounds their bytes.',
    stated('nodeQueueCommandsMax'),
  ),
  connectTimeoutMs: about(
    milliseconds(1, DAY_MS),
    'To connect to a node and greet it. Then it is down: commands for it get `-NODEDOWN` at once, and it is tried again.',
    stated('connectTimeoutMs'),
  ),
  queueTimeoutMs: about(
    milliseconds(1, DAY_MS),
    'How long a command may wait for a node that is being connected to. Then it gets `-NODEDOWN`: it was not sent.',
    stated('queueTimeoutMs'),
  ),
  requestTimeoutMs: about(
    milliseconds(1, DAY_MS),
    'How long a node may neither send a byte nor take one while a reply is awaited. Then reads that wait so long get `-NODEDOWN`, and writes `-UNKNOWN`, since they may have been done. A node that is only slow, but goes on, is not given up on.',
    stated('requestTimeoutMs'),
  ),
  stallTimeoutMs: about(
    milliseconds(1, DAY_MS),
    'As requestTimeoutMs, and then the connection is closed and made anew. Not below requestTimeoutMs.',
    stated('stallTimeoutMs'),
  ),
  idlePingMs: about(
    milliseconds(1, DAY_MS),
    'After so long without a command for a node its connection is tried with PING, so that a node that has gone is known before it is needed.',
    stated('idlePingMs'),
  ),
  reconnectMinMs: about(
    milliseconds(1, DAY_MS),
    'The first wait before a node that could not be connected to is tried again. It is doubled each time, and cut by up to a half at random, so that proxies do not all come at once.',
    stated('reconnectMinMs'),
  ),
  reconnectMaxMs: about(
    milliseconds(1, DAY_MS),
    'The longest wait between attempts to connect to a node: so long it may take until one that has come back is used.',
    stated('reconnectMaxMs'),
  ),
  largeConnectionsMax: about(
    wholeNumber(1, COUNT_MAX),
    'Connections of one worker to one node that may finish values above largeValueBytes at the same time. Beyond, such values share the common connection with all other commands.',
    stated('largeConnectionsMax'),
  ),
  privateConnectionsMax: about(
    wholeNumber(1, COUNT_MAX),
    'Connections of one worker to one node that serve one client alone: for clients that watch keys, wait for data, track keys, or subscribe. Beyond, such commands get `-OVERLOADED`. With all workers they must be fewer than the maxclients of the node.',
    stated('privateConnectionsMax'),
  ),
  privateConnectionsSpareMax: about(
    wholeNumber(0, COUNT_MAX),
    'How many of them are kept when nobody needs them, for those who come next.',
    stated('privateConnectionsSpareMax'),
  ),
  replicatedPatienceMs: about(
    milliseconds(1, DAY_MS),
    'How long a copy of a replicated key may take to answer before another way is tried: other copies are asked, or a ballot more. Above the time that an answer of the farthest node takes, by far: a shorter one costs round trips. At requestTimeoutMs it is over anyhow.',
    stated('replicatedPatienceMs'),
  ),
  replicatedScriptBytesMax: about(
    bytes(1, GIBI),
    'Memory that the value of a replicated key may take (by MEMORY USAGE) when a script, a function, or another command that only one node can carry out, writes to it: the others are then sent the whole value. Beyond, such commands get `-OVERLOADED`, and have no effect. How large a value they make is not bounded by it.',
    stated('replicatedScriptBytesMax'),
  ),
  repairKeysPerSecond: about(
    wholeNumber(1, COUNT_MAX),
    'Replicated keys that are copied to a node under repair in a second; of keys that it has already, and that are only compared, ten count as one. Clients are served meanwhile.',
    stated('repairKeysPerSecond'),
  ),
  repairBytesInFlightMax: about(
    bytes(1, 2 * GIBI),
    'Bytes of the values that are on their way to a node under repair at the same time. A larger value goes alone.',
    stated('repairBytesInFlightMax'),
  ),
  compareKeysPerSecond: about(
    wholeNumber(1, COUNT_MAX),
    'Keys of consistency eventual that a node is asked for in a second, while what the nodes have is compared.',
    stated('compareKeysPerSecond'),
  ),
  compareIntervalMs: about(
    milliseconds(100, DAY_MS),
    'How long after one comparison of all keys of consistency eventual the next begins, up to a half less by chance. One begins besides when a node has come back, and after one that found a copy behind.',
    stated('compareIntervalMs'),
  ),
  compareBytesMax: about(
    bytes(0, 64 * GIBI),
    'Bytes that may be remembered, while the nodes of a pool are compared, of what they have told: 12 for each key of each node. What differs is then read again alone. With more keys nothing is remembered, and all are read again if any differ.',
    stated('compareBytesMax'),
  ),
  hintBytesMax: about(
    bytes(1, 64 * GIBI),
    'Bytes of writes to keys of consistency eventual that one process keeps for a node that has missed them, in dataDir if there is one. What is more is dropped; the next comparison of the nodes brings it.',
    stated('hintBytesMax'),
  ),
  hintAgeMaxMs: about(milliseconds(1_000, 30 * DAY_MS), 'How long they are kept.', stated('hintAgeMaxMs')),
} satisfies Record<keyof NodeLimits, z.ZodType<number>>;

const KEYS = {
  clientsMax: about(
    wholeNumber(1, COUNT_MAX),
    "Clients of the whole process, as Redis's maxclients. One more is answered `-ERR max number of clients reached` and closed. Each takes a descriptor: where `ulimit -n` has fewer, fewer are taken, and the log says so.",
    stated('clientsMax'),
  ),
  // Redis takes no less either.
  bulkBytesMax: about(
    bytes(MEBI, GIBI),
    "The largest argument that a client may send, as Redis's proto-max-bulk-len. A larger one is `Protocol error: invalid bulk length`, and the connection is closed.",
    stated('bulkBytesMax'),
  ),
  inlineBytesMax: about(
    bytes(64, MEBI),
    'The longest line of an inline command, or of a header. Redis has 64 KiB too.',
    stated('inlineBytesMax'),
  ),
  sessionCommandsMax: about(
    wholeNumber(1, COUNT_MAX),
    'Commands of one client that may be under way at once. Beyond, nothing more is read from it until some are answered, so that one deep pipeline does not starve its neighbours.',
    stated('sessionCommandsMax'),
  ),
  sessionRequestBytesMax: about(
    bytes(1, GIBI),
    'Bytes of the commands of one client that may be under way, as sessionCommandsMax bounds their number.',
    stated('sessionRequestBytesMax'),
  ),
  sessionTransactionBytesMax: about(
    bytes(1, GIBI),
    'Bytes that the commands of one client may take which wait for EXEC after MULTI. Each that is not for one shard alone (PING, DBSIZE) takes some 256 besides its own. Beyond, a command gets `-OVERLOADED`, and EXEC will refuse the transaction.',
    stated('sessionTransactionBytesMax'),
  ),
  sessionTransactionSpreadMax: about(
    wholeNumber(1, COUNT_MAX),
    'Commands of one transaction that all shards are to carry out (DBSIZE, FLUSHALL …), or all workers (CLIENT LIST …): EXEC asks for all of them at once, as sessionCommandsMax is for those without MULTI. Beyond, a command gets `-OVERLOADED`, and EXEC will refuse the transaction.',
    stated('sessionTransactionSpreadMax'),
  ),
  sessionOutputSoftBytes: about(
    bytes(1, GIBI),
    'Replies that may wait for a client to read them. Beyond, nothing more is read from it until it reads.',
    stated('sessionOutputSoftBytes'),
  ),
  sessionOutputHardBytes: about(
    bytes(1, 2 * GIBI),
    "Replies that may wait for a client to read them, before it is closed, as by Redis's client-output-buffer-limit. Above the largest reply that clients ask for.",
    stated('sessionOutputHardBytes'),
  ),
  sessionSubscriptionsMax: about(
    wholeNumber(1, COUNT_MAX),
    'Channels and patterns that one client may be subscribed to. Beyond, SUBSCRIBE gets `-OVERLOADED`.',
    stated('sessionSubscriptionsMax'),
  ),
  sessionLocksMax: about(
    wholeNumber(1, COUNT_MAX),
    'Locks that one client may have for as long as it is connected (`LOCK.ACQUIRE` with `SESSION`). Beyond, it gets `-OVERLOADED`.',
    stated('sessionLocksMax'),
  ),
  subscriberOutputSoftBytes: about(
    bytes(1, GIBI),
    'Messages and replies that may wait for a client with subscriptions to read them, for longer than subscriberOutputSoftMs. Then it is closed.',
    stated('subscriberOutputSoftBytes'),
  ),
  subscriberOutputSoftMs: about(
    milliseconds(1_000, DAY_MS),
    "How long more than subscriberOutputSoftBytes may wait, as the last number of Redis's `client-output-buffer-limit pubsub`.",
    stated('subscriberOutputSoftMs'),
  ),
  subscriberOutputHardBytes: about(
    bytes(1, 2 * GIBI),
    "As sessionOutputHardBytes, for a client with subscriptions: nobody slows down who publishes. As Redis's `client-output-buffer-limit pubsub`.",
    stated('subscriberOutputHardBytes'),
  ),
  requestDeadlineMs: about(
    milliseconds(0, DAY_MS, NEVER),
    'How long a client may leave a command half sent, counted anew with each MiB of it that comes. Then it is closed: what is half sent holds memory.',
    stated('requestDeadlineMs'),
  ),
  idleTimeoutMs: about(
    milliseconds(0, 365 * DAY_MS, NEVER),
    "How long a client may neither send nor take a byte before it is closed, as Redis's timeout. Pools of connections like to stay, so it is off.",
    stated('idleTimeoutMs'),
  ),
  authDeadlineMs: about(
    milliseconds(0, DAY_MS, NEVER),
    'How long a client may take to give its password, where one is asked for.',
    stated('authDeadlineMs'),
  ),
  replicatedKeyQueueMax: about(
    wholeNumber(1, COUNT_MAX),
    'Commands that may wait for their turn on one replicated key, in one worker: writes of a key are agreed upon one after another. Beyond, commands on it get `-OVERLOADED`, and have no effect; other keys go on.',
    stated('replicatedKeyQueueMax'),
  ),
  replicatedBytesMax: about(
    bytes(1, 2 * GIBI),
    'Bytes of the commands on replicated keys that may be under way in one worker. Beyond, such commands get `-OVERLOADED`, and have no effect. A larger one alone is carried out.',
    stated('replicatedBytesMax'),
  ),
  replicatedKeysMax: about(
    wholeNumber(1, COUNT_MAX),
    'Replicated keys of which one worker remembers, for each pool, what it has agreed upon last: their next write takes one round trip. Beyond, one that has not been used for long is forgotten, and its next write takes two. Each takes about 1 KiB.',
    stated('replicatedKeysMax'),
  ),
  hintsInFlightBytesMax: about(
    bytes(1, GIBI),
    'Bytes of writes that nodes have missed which one worker may have on their way to where they are kept. What is more waits in the worker, for each node as much as hintBytesMax says.',
    stated('hintsInFlightBytesMax'),
  ),
  scriptsBytesMax: about(
    bytes(0, GIBI),
    'Bytes that each worker takes to remember scripts (twice their length, and some 400 for each), so that EVALSHA finds them on every node, whichever lost them. Beyond, the one that was not called for longest is forgotten: where a node lacks it, `-NOSCRIPT`. 0: none.',
    stated('scriptsBytesMax'),
  ),
  gatherBytesMax: about(
    bytes(1, GIBI),
    'Bytes of what one command may read on nodes other than the one that carries it out (SINTER of keys on several nodes): of the memory that these keys take there, before they are asked for, and of their values; where the proxy puts the reply together (XREAD), of all that nodes answer. Beyond, it gets `-OVERLOADED`, and has no effect. A node does nothing else while it copies such values or takes them in: half a second for 64mb of small elements.',
    stated('gatherBytesMax'),
  ),
  gatherKeysMax: about(
    wholeNumber(1, COUNT_MAX),
    'Keys that such a command may have; for SORT with patterns of BY and GET, elements that it sorts, and keys that these name. Beyond, it gets `-OVERLOADED`, and has no effect. A node does nothing else while it takes them in: some 5 microseconds for a small one.',
    stated('gatherKeysMax'),
  ),
  gatherWorkerBytesMax: about(
    bytes(1, 2 * GIBI),
    'Bytes that all such commands of one worker may have read at the same time. Beyond, they get `-OVERLOADED`, and have no effect. One alone is carried out. Meanwhile they take two to three times as much memory, which counts for `workerMemoryMax`.',
    stated('gatherWorkerBytesMax'),
  ),
  lockQueueMax: about(
    wholeNumber(1, COUNT_MAX),
    'Clients that may wait for one lock (`LOCK.ACQUIRE` with `WAIT`): in one worker; with `provider: store` in the process. Beyond, they get `-OVERLOADED` at once.',
    stated('lockQueueMax'),
  ),
  lockListMax: about(
    wholeNumber(1, COUNT_MAX),
    'Names of locks that `LOCK.LIST` may find. Beyond, it gets `-OVERLOADED`.',
    stated('lockListMax'),
  ),
  passthroughUsersMax: about(
    wholeNumber(1, COUNT_MAX),
    'With `auth: passthrough`, pairs of a name and a password that the clients of one worker may have at the same time: each has connections of its own to the nodes. Beyond, AUTH gets `-OVERLOADED`. Those that no client has are closed after a minute, or when there is need of their place.',
    stated('passthroughUsersMax'),
  ),
  ...NODE_KEYS,
  largeValueBytes: about(
    bytes(1, GIBI),
    'A reply larger than this, or a request that is held until it is whole, takes its connection to the node out of common use, so that small commands do not wait behind it. A write of one key that is larger goes to its node as it comes, by a connection of its own.',
    stated('largeValueBytes'),
  ),
  workerMemoryMax: about(
    bytes(16 * MEBI, 2 * GIBI),
    "Bytes of all buffers of one worker, and of what commands have read that are gathered. Beyond, the session that holds most is closed (one with CLIENT NO-EVICT last); what has come of its replies counts. It is lowered to the worker's part of six tenths of the memory that the process may use (that of its cgroup, in a container).",
    stated('workerMemoryMax'),
  ),
  // A worker gives a sign of life twice a second.
  workerStallTimeoutMs: about(
    milliseconds(2_000, DAY_MS),
    'How long one turn of a worker may take. Then it hangs: it is ended, its clients are disconnected, and another takes its place.',
    stated('workerStallTimeoutMs'),
  ),
} satisfies Record<keyof Limits, z.ZodType<number>>;

export const LIMITS = z.strictObject(KEYS, expecting(FORM)).partial();
export const NODE_LIMITS_SECTION = z.strictObject(NODE_KEYS, expecting(FORM)).partial();

export type LimitsSection = z.infer<typeof LIMITS>;
export type NodeLimitsSection = z.infer<typeof NODE_LIMITS_SECTION>;

export function completeLimits(limits: LimitsSection | undefined): Limits {
  return { ...DEFAULT_LIMITS, ...given(limits) };
}

/** Those of a pool's nodes: its own, and where it has none those of the file. */
export function completeNodeLimits(own: NodeLimitsSection | undefined, limits: Limits): NodeLimits {
  return { ...nodeLimitsOf(limits), ...given(own) };
}

/** Of each pair the first must not be above the second. */
const ORDERED = [
  ['gatherBytesMax', 'gatherWorkerBytesMax'],
  ['sessionOutputSoftBytes', 'sessionOutputHardBytes'],
  ['subscriberOutputSoftBytes', 'subscriberOutputHardBytes'],
  ['requestTimeoutMs', 'stallTimeoutMs'],
  ['reconnectMinMs', 'reconnectMaxMs'],
  ['privateConnectionsSpareMax', 'privateConnectionsMax'],
] as const satisfies readonly [keyof Limits, keyof Limits][];

export function checkLimits(section: LimitsSection | undefined, complain: Complain): void {
  checkOrder(['limits'], section ?? {}, completeLimits(section), () => 'by default', complain);
}

/** `section` is that of a pool; `limits` are the file's. What is wrong with those is not said here. */
export function checkNodeLimits(
  pool: string,
  section: NodeLimitsSection | undefined,
  limits: LimitsSection | undefined,
  complain: Complain,
): void {
  const source = (name: keyof Limits) => (limits?.[name] === undefined ? 'by default' : 'in limits');
  const all = { ...completeLimits(limits), ...given(section) };
  checkOrder(['pools', pool, 'limits'], section ?? {}, all, source, complain);
}

/** `source` says where a limit comes from that is not `written` at `path`. */
function checkOrder(
  path: Path,
  written: LimitsSection,
  all: Limits,
  source: (name: keyof Limits) => string,
  complain: Complain,
): void {
  const show = (name: keyof Limits) => {
    const limit = format(name, all[name]);
    return written[name] === undefined ? `${name} (${limit} ${source(name)})` : `${name} (${limit})`;
  };
  for (const [low, high] of ORDERED) {
    if (all[low] <= all[high]) continue;
    if (written[low] !== undefined) complain([...path, low], `: is above ${show(high)}`);
    else if (written[high] !== undefined) complain([...path, high], `: is below ${show(low)}`);
  }
}

/** The default of that limit, as it would be written. */
function stated(name: keyof Limits): { stated: string | number } {
  return { stated: format(name, DEFAULT_LIMITS[name]) };
}

function format(name: keyof Limits, limit: number): string | number {
  if (name.endsWith('Ms')) return formatMilliseconds(limit);
  return /Bytes|workerMemoryMax/.test(name) ? formatBytes(limit) : limit;
}

function given<T extends object>(section: T | undefined): { [K in keyof T]: NonNullable<T[K]> } {
  const entries = Object.entries(section ?? {}).filter(([, limit]) => limit !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: NonNullable<T[K]> };
}
