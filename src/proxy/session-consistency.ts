/** RL.CONSISTENCY: at which level a session reads replicated keys. Writes are what the keyspace promises to all who read. */
import type { LevelSnapshot } from '../messages.js';
import { bulkReply, errorReply, REPLY_OK } from '../resp/reply.js';
import { CONSISTENCIES, type Consistency } from '../routing/levels.js';
import type { Session } from './session.js';

const DEFAULT = 'default';

/** The reply to the command with these words behind its name. */
export function answerConsistency(session: Session, given: readonly string[]): Uint8Array {
  const [asked, ...others] = given;
  if (asked === undefined) return bulkReply(Buffer.from(session.consistency ?? DEFAULT));
  if (others.length > 0) return errorReply("ERR wrong number of arguments for 'rl.consistency' command");
  const word = asked.toLowerCase();
  const level = CONSISTENCIES.find((known) => known === word) ?? null;
  if (level === null && word !== DEFAULT)
    return errorReply(`ERR the level is to be one of ${[...CONSISTENCIES.toReversed(), DEFAULT].join(', ')}`);
  session.consistency = level;
  return REPLY_OK;
}

/**
 * Whether a session that has asked for `asked` takes of such keys what any copy has. All others read as the keyspace has it: of strong keys no
 * cheaper reads are regular than those that are linearizable.
 */
export function readsWeakly(asked: Consistency | null, { consistency }: LevelSnapshot): boolean {
  return asked === null ? consistency === 'weak' : asked === 'weak';
}

/** Why such a session may not use such keys, as a reply; null: it may. */
export function consistencyRefusal(asked: Consistency | null, { consistency }: LevelSnapshot): Uint8Array | null {
  if (asked === null || CONSISTENCIES.indexOf(asked) <= CONSISTENCIES.indexOf(consistency)) return null;
  return errorReply(
    `ERR RL.CONSISTENCY ${asked}: keys of this keyspace are of consistency ${consistency}, which promises less; RL.CONSISTENCY default takes what keyspaces promise`,
  );
}
