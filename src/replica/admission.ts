/**
 * Whom of a pool to admit, and how (REPLICATION.md, M2-M4), decided purely: what every node says of itself in, what is to be
 * written to which node out. All of it is compare-and-set: two who decide by different views do no harm to each other.
 *
 *   (no record) --join--> joining --member--> member (0, 1)       M2, while nobody is a member yet, and all are empty; (0, 2): again
 *   member of a process that ended --member (e, n + 1)--> member  M3, where restarts keep the data
 *   all else: a stranger, to be repaired (repair.ts)
 */
import { clusterInForce, judgeNode, serverFault } from './member.js';
import type { NodeFacts, NodeRecord } from './member-step.js';
import { formatNodeRecord, parseNodeRecord } from './node-record.js';

/** A node of the pool. */
export interface NodeView {
  name: string;
  /** Null: it does not answer. */
  facts: NodeFacts | null;
  /** What about its settings could lose what it has accepted, over a restart (see durabilityFault); null: nothing. */
  durabilityFault: string | null;
  /** Keys that it has, in all its databases, besides the few that say what the node is (~rl:node, ~rl:floor). */
  keysFound: number;
}

/** What each node is, in the order of the views. */
export type NodeVerdict =
  | { kind: 'member' }
  /** It does not answer. */
  | { kind: 'silent' }
  /** The step `admit` is to be asked of it, for the process that was seen. */
  | { kind: 'admit'; expected: string; record: string; as: 'joining' | 'member' | 'restarted' }
  /** The node waits for the others. */
  | { kind: 'waiting'; reason: string }
  /** Of this pool, and its memory may have gaps. */
  | { kind: 'stranger'; reason: string }
  /** Nothing may be written to it: only the operator can know what is right. */
  | { kind: 'refused'; reason: string };

export interface AdmissionOptions {
  /** `restart: keeps-data`: the operator states that a restarted node has all that it ever accepted. */
  keepsData: boolean;
  /** For a pool that is started for the first time: a fresh id. */
  newClusterId: string;
  /**
   * Who asks has seen members of this pool: if nobody is one now, all have lost what they had, which is not as at a first start. They say so
   * by the count of their admission, since what is bound to time (lock/lock-scripts) may still be in force.
   */
  wasBegun: boolean;
}

interface Candidate extends NodeView {
  record: NodeRecord | null;
}

/** A verdict for each of the pool's nodes. */
export function planAdmission(views: readonly NodeView[], options: AdmissionOptions): NodeVerdict[] {
  const nodes = views.map((view): Candidate => ({ ...view, record: view.facts && parseNodeRecord(view.facts.record) }));
  const admitted = nodes.map(({ record }) => (record !== null && wasAdmitted(record) ? record.clusterId : null));
  if (admitted.every((id) => id === null)) return planFirstStart(nodes, options);
  const clusterId = clusterInForce(admitted);
  const isBegun = nodes.some(({ record }) => record?.status.kind === 'member');
  return nodes.map((node) => verdictOn(node, nodes, clusterId, isBegun, options));
}

/** Of CONFIG's settings: what could lose something that the node has accepted; null: nothing. */
export function durabilityFault(settings: ReadonlyMap<string, string>): string | null {
  for (const [name, value] of DURABLE) {
    if (settings.get(name) !== value) return `${name} is ${settings.get(name) ?? 'not known'}, not ${value}`;
  }
  return null;
}

/** What `restart: keeps-data` takes. */
export const DURABLE: readonly (readonly [setting: string, value: string])[] = [
  ['appendonly', 'yes'],
  ['appendfsync', 'always'],
  ['no-appendfsync-on-rewrite', 'no'],
];

function wasAdmitted({ status }: NodeRecord): boolean {
  return status.kind !== 'joining';
}

/** What only some of them have would be read now and then, and nobody has given it a ballot. */
const FILLED_ADVICE = 'empty them (FLUSHALL), or put others in their place';

/**
 * Nobody who answers was ever admitted. Who does not answer may have been, and have what was acknowledged, also where the pool is of consistency
 * eventual: others that began without it would be another cluster, and shut it out (docs/CONSISTENCY.md, "Why empty nodes wait").
 */
function planFirstStart(nodes: readonly Candidate[], { newClusterId, wasBegun }: AdmissionOptions): NodeVerdict[] {
  const missing = nodes.flatMap(({ name, facts }) => (facts === null ? [name] : []));
  const faults = nodes.flatMap(({ name, facts }) => {
    const fault = facts && serverFault(facts);
    return fault === null ? [] : [`${name}: ${fault}`];
  });
  const filled = nodes.flatMap(({ name, keysFound }) => (keysFound === 0 ? [] : [`${name} has ${keysFound} keys`]));
  // Two that start a pool at once may each have begun with an id of their own: all take the smallest.
  const ids = nodes.flatMap(({ record }) => (record === null ? [] : [record.clusterId])).sort();
  const clusterId = ids[0] ?? newClusterId;
  const isComplete = nodes.every((node) => hasJoined(node, clusterId));
  const isAgain = wasBegun || hasBegunAgain(nodes);
  return nodes.map((node) => {
    if (node.facts === null) return { kind: 'silent' };
    if (missing.length > 0) return waiting(`for the first start all nodes must answer; missing: ${missing.join(', ')}`);
    if (faults.length > 0) return waiting(`for the first start all nodes must be fit; ${faults.join('; ')}`);
    if (filled.length > 0)
      return waiting(`for the first start all nodes must be empty; ${filled.join(', ')}: ${FILLED_ADVICE}`);
    if (isComplete) return admit(node.facts, memberRecord(node.name, node.facts, clusterId, isAgain), 'member');
    if (hasJoined(node, clusterId)) return waiting('the other nodes are joining');
    return admit(node.facts, joiningRecord(node.name, node.facts, clusterId, wasBegun), 'joining');
  });
}

/**
 * Somebody was admitted before. `clusterId`: of those that count; null where that cannot be said. `isBegun`: a node says `member`, so that
 * all had joined.
 */
function verdictOn(
  node: Candidate,
  nodes: readonly Candidate[],
  clusterId: string | null,
  isBegun: boolean,
  options: AdmissionOptions,
): NodeVerdict {
  const { keepsData } = options;
  const { name, facts, record } = node;
  if (facts === null) return { kind: 'silent' };
  if (record !== null && wasAdmitted(record) && record.clusterId !== clusterId) {
    const other =
      clusterId === null ? 'and the nodes of the pool do not agree' : `and this pool is cluster ${clusterId}`;
    return { kind: 'refused', reason: `node ${name} belongs to cluster ${record.clusterId}, ${other}` };
  }
  if (clusterId === null) return { kind: 'refused', reason: 'the nodes of the pool belong to different clusters' };
  const fault = serverFault(facts);
  if (fault !== null) return { kind: 'refused', reason: `node ${name}: ${fault}` };
  if (isBegun && hasJoined(node, clusterId)) {
    const isAgain = options.wasBegun || hasBegunAgain(nodes);
    return admit(facts, memberRecord(name, facts, clusterId, isAgain), 'member');
  }
  const standing = judgeNode(name, facts);
  if (standing.kind === 'member') return { kind: 'member' };
  if (keepsData && node.durabilityFault === null && record !== null && isRestarted(node, record)) {
    const { epoch, count } = record.admission;
    const next = { ...record, admission: { epoch, count: count + 1 }, process: facts.process };
    return admit(facts, formatNodeRecord(next), 'restarted');
  }
  const why = keepsData && node.durabilityFault !== null ? ` (its data may have gaps: ${node.durabilityFault})` : '';
  return { kind: 'stranger', reason: `${standing.reason}${why}` };
}

/** It says that it is joining, for the process that runs. Such a node has never had a vote that it could have forgotten. */
function hasJoined({ name, facts, record }: Candidate, clusterId: string): boolean {
  return (
    facts !== null &&
    record?.status.kind === 'joining' &&
    record.name === name &&
    record.clusterId === clusterId &&
    record.process.runId === facts.process.runId &&
    record.process.replId === facts.process.replId
  );
}

/**
 * Its record is its own, of a member, and of a process that has ended; and the process that runs has the data that it was started with. (Who
 * was a replica meanwhile may have been given older ones, with the record of then.)
 */
function isRestarted({ name, facts }: Candidate, { name: ownName, status, process }: NodeRecord): boolean {
  if (facts === null || facts.wasReplica) return false;
  return ownName === name && status.kind === 'member' && process.runId !== facts.process.runId;
}

/** Counts of admissions at a start: who joins says whether it is the first one, and members have one more. */
const JOINING = 0;
const JOINING_AGAIN = 1;

function joiningRecord(name: string, { process }: NodeFacts, clusterId: string, isAgain: boolean): string {
  const count = isAgain ? JOINING_AGAIN : JOINING;
  return formatNodeRecord({ clusterId, name, admission: { epoch: 0, count }, process, status: { kind: 'joining' } });
}

/** If it is not the first start by the word of one who has written a record, it is not for anybody. */
function hasBegunAgain(nodes: readonly Candidate[]): boolean {
  return nodes.some(({ record }) => {
    if (record === null) return false;
    const { status, admission } = record;
    return admission.count > (status.kind === 'joining' ? JOINING : JOINING + 1);
  });
}

function memberRecord(name: string, { process }: NodeFacts, clusterId: string, isAgain: boolean): string {
  const count = (isAgain ? JOINING_AGAIN : JOINING) + 1;
  return formatNodeRecord({ clusterId, name, admission: { epoch: 0, count }, process, status: { kind: 'member' } });
}

function admit(facts: NodeFacts, record: string, as: 'joining' | 'member' | 'restarted'): NodeVerdict {
  return { kind: 'admit', expected: facts.record, record, as };
}

function waiting(reason: string): NodeVerdict {
  return { kind: 'waiting', reason };
}
