/**
 * Which connections to a node count (REPLICATION.md, M1), decided purely: what was heard on a connection in, whether its votes
 * and its facts count out.
 *
 *   unknown --facts that hold--> member --push--> unknown --facts that hold, with a larger admission--> member
 *      |                                             |
 *      +--facts that do not hold--> stranger         +--facts that hold, with the same admission--> stranger, for good
 *
 * A stranger is looked at again after the next push. What stays a stranger though M1 holds takes a new connection.
 */
import type { Admission, NodeFacts } from './member-step.js';
import { compareAdmissions, parseNodeRecord } from './node-record.js';

export type Standing =
  /** `record`: the text that the steps on this connection carry. */
  | { kind: 'member'; record: string; clusterId: string; admission: Admission }
  /** `reason`: why its votes do not count, as a sentence. */
  | { kind: 'stranger'; reason: string };

/** What M1 says of the node of that name, as a new connection finds it. */
export function judgeNode(name: string, facts: NodeFacts): Standing {
  const record = parseNodeRecord(facts.record);
  if (record === null) return stranger(facts.record === '' ? 'it was never admitted' : 'its record cannot be read');
  if (record.name !== name) return stranger(`its record is that of node ${record.name}`);
  if (record.status.kind === 'repairing') return stranger(`it is being repaired in epoch ${record.status.epoch}`);
  if (record.status.kind === 'joining') return stranger('it is joining');
  if (record.process.runId !== facts.process.runId) return stranger('it was restarted');
  if (record.process.replId !== facts.process.replId) return stranger('it was a replica in between');
  const fault = serverFault(facts);
  if (fault !== null) return stranger(fault);
  return { kind: 'member', record: facts.record, clusterId: record.clusterId, admission: record.admission };
}

/** Why no server in this condition may have votes; null: it may. */
export function serverFault({ role, replicas, debugCommand }: NodeFacts): string | null {
  if (role !== 'master') return `its role is ${role}`;
  if (replicas !== 0) return 'it has replicas';
  if (debugCommand !== 'no') return 'its enable-debug-command is not no: DEBUG may change data without a ballot';
  return null;
}

/**
 * The cluster whose members count, of the ids that each node of a pool shows (null: none known); null while there is none. Where
 * ids differ, some nodes are another pool's, and only more than half of all can say which: members of two clusters have
 * different states under equal ballots.
 */
export function clusterInForce(ids: readonly (string | null)[]): string | null {
  const counts = new Map<string, number>();
  for (const id of ids) if (id !== null) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const [id, count] of counts) if (counts.size === 1 || count * 2 > ids.length) return id;
  return null;
}

/** What one connection knows of its node. Its owner says HELLO 3, then CLIENT TRACKING, and only then begins to look. */
export class Membership {
  private readonly name: string;
  private standing: Standing | null = null;
  /** The largest admission that counted on this connection. */
  private known: Admission | null = null;
  private pushes = 0;
  /** How many of them had come by then. */
  private knownPushes = 0;
  /** M1 holds, but not for what was heard here: only a new connection can make its node count. */
  isSpent = false;

  /** `name`: of the node in its pool. */
  constructor(name: string) {
    this.name = name;
  }

  /** Null: not known, and nothing counts: a look is due, or under way. */
  get now(): Standing | null {
    return this.standing;
  }

  /** The record that steps carry, and while it is what it was when a step was sent, its answer counts; null: nothing counts. */
  get record(): string | null {
    return this.standing?.kind === 'member' ? this.standing.record : null;
  }

  /** Any push but a message that somebody subscribed to. */
  onPush(): void {
    this.pushes++;
    this.standing = null;
  }

  /** To be called when the question `look` is sent. What it returns goes with the answer. */
  beginLook(): number {
    return this.pushes;
  }

  /** False: a push came since then, and another look is due. */
  onFacts(look: number, facts: NodeFacts): boolean {
    if (look !== this.pushes) return false;
    const standing = judgeNode(this.name, facts);
    const { known } = this;
    this.isSpent = false;
    this.standing = standing;
    if (standing.kind === 'stranger') return true;
    if (known !== null && this.pushes > this.knownPushes && compareAdmissions(standing.admission, known) <= 0) {
      this.isSpent = true;
      this.standing = stranger('its data may have changed since this connection was made');
      return true;
    }
    this.known = standing.admission;
    this.knownPushes = this.pushes;
    return true;
  }
}

function stranger(reason: string): Standing & { kind: 'stranger' } {
  return { kind: 'stranger', reason };
}
