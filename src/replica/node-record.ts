/**
 * The text of `~rl:node`, by which a node is known as a member (REPLICATION.md, "On a node" and M1-M4):
 *
 *   1 member 3.0 RUN_ID REPL_ID CLUSTER_ID NAME        or `joining`, or `repairing:4`, in place of `member`
 *
 * Nodes compare it byte for byte with what a caller expects, so that one text says all: cluster, admission, process and name.
 */
import type { Admission, NodeRecord } from './member-step.js';

/** The name comes last: it alone may hold blanks. */
const RECORD = /^1 (joining|member|repairing:(\d{1,8})) (\d{1,8})\.(\d{1,8}) (\S+) (\S+) (\S+) (.+)$/s;

/** `clusterId` and the ids of `process` have no blanks in them. */
export function formatNodeRecord({ clusterId, name, admission, process, status }: NodeRecord): string {
  const word = status.kind === 'repairing' ? `repairing:${status.epoch}` : status.kind;
  return `1 ${word} ${admission.epoch}.${admission.count} ${process.runId} ${process.replId} ${clusterId} ${name}`;
}

/** Null for what is no record, '' among it. */
export function parseNodeRecord(text: string): NodeRecord | null {
  const match = RECORD.exec(text);
  if (match === null) return null;
  const [, word, repairEpoch, epoch, count, runId, replId, clusterId, name] = match as unknown as RecordParts;
  return {
    clusterId,
    name,
    admission: { epoch: Number(epoch), count: Number(count) },
    process: { runId, replId },
    status:
      repairEpoch === undefined
        ? { kind: word as 'joining' | 'member' }
        : { kind: 'repairing', epoch: Number(repairEpoch) },
  };
}

type RecordParts = [string, string, string | undefined, string, string, string, string, string, string];

/** Below 0 when `one` comes before `other` (M4), as for sorting. */
export function compareAdmissions(one: Admission, other: Admission): number {
  return one.epoch - other.epoch || one.count - other.count;
}
