/**
 * Reads of weak keys, and those of sessions that have asked for no more (RL.CONSISTENCY weak), sent to one copy as they came: no more is promised
 * of them than that they come from writes, and what a member has was written together with its version. So there is nothing to ask besides, and
 * the reply is the client's.
 *
 *   plain reads  by the session's own way to the home of the key, while there is a connection and it does not keep others waiting
 *   all else     by the proposer of the keyspace (replicated.ts), another way to the nodes
 *
 * What was sent so is for the process that the connection leads to: that it is a member was seen of this one, and whoever is behind the address
 * after it may be anybody.
 *
 * Of what one client sends nothing overtakes: while something is under way by the other way, reads go by that, too, and writes wait.
 */
import type { LaneChannel } from '../backend/lane.js';
import type { PendingPool } from '../backend/pending.js';
import type { Counts } from '../base/metrics.js';
import { readsPlainly } from '../replica/form-table.js';
import type { Replicas } from '../replica/replicas.js';
import type { CommandSpec } from '../resp/commands.js';
import type { RequestReader } from '../resp/request.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { readsWeakly } from './session-consistency.js';

export interface PlainReadsContext {
  bytes: Uint8Array;
  reader: RequestReader;
  pendings: PendingPool;
  replicas: Replicas;
  counts: Pick<Counts, 'replicatedPlainReads'>;
  now: () => number;
}

export class PlainReads {
  private readonly context: PlainReadsContext;

  constructor(context: PlainReadsContext) {
    this.context = context;
  }

  /** The command last read is arena bytes [start, end). False: it is none of these, and nothing was done. Allocates nothing. */
  carryOut(session: Session, service: Service, spec: CommandSpec, start: number, end: number): boolean {
    if (!readsPlainly(spec) || session.operations > 0) return false;
    const { bytes, reader, replicas, pendings, now, counts } = this.context;
    const keyStart = reader.argumentStart[spec.firstKey] as number;
    const keyEnd = reader.argumentEnd[spec.firstKey] as number;
    const copySets = service.copySetsOf(bytes, keyStart, keyEnd);
    if (copySets === null || !readsWeakly(session.consistency, copySets.level)) return false;
    if (session.database !== 0 || session.tracking !== null) return false;
    // What was read before EXEC is to be what WATCH looks after.
    if (session.replicatedWatch !== null) return false;
    const node = replicas.homeOf(copySets, copySets.find(bytes, keyStart, keyEnd));
    if (node < 0) return false;
    const channel = session.lane.channels[node] as LaneChannel;
    if (channel.carrier === null || channel.oldestMs < replicas.patientSinceMs(node)) return false;
    counts.replicatedPlainReads++;
    const pending = pendings.take(session, now(), false);
    pending.isBound = true;
    session.trackPlainRead(pending, end - start);
    const refusal = channel.send(pending, start, end);
    if (refusal !== null) session.onFailure(pending, refusal);
    return true;
  }
}
