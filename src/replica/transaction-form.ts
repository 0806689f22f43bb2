/**
 * MULTI and EXEC on one replicated key: several operations as one, under one ballot.
 *
 * What must be read first can be read only on the base: after a write in the same block that is no longer the state that
 * its command will meet. Then, and where one of several expiries has passed already, one node carries out the whole block.
 */
import { arrayHeader, type Protocol } from '../resp/reply.js';
import type { Command, Commands, Replies } from './commands.js';
import { all, allBefore, alone, type KeyOperation, type KeyPlan, type Shape } from './key-operation.js';
import type { BaseFacts } from './operation.js';

/** `operations` is not empty, and all are on the same key. The reply is EXEC's array. */
export function transactionOf(operations: readonly KeyOperation[], protocol: Protocol): KeyOperation {
  const plain: Commands = { list: operations.flatMap((operation) => operation.plain.list), protocol };
  const plainReply = gathered(
    operations.map((operation) => operation.plain.list.length),
    operations.map((operation) => operation.plainReply),
  );
  const isReading = operations.every((operation) => operation.reads !== null);
  const atOne: KeyPlan = { kind: 'one', commands: alone(plain), reply: plainReply };
  return {
    reads: isReading ? plain : null,
    readReply: plainReply,
    plain,
    plainReply,
    repliesAgree: operations.every((operation) => operation.repliesAgree),
    plan: (base, found) => planAll(operations, protocol, base, found, atOne),
  };
}

/** `atOne`: one node carries them out. */
function planAll(
  operations: readonly KeyOperation[],
  protocol: Protocol,
  base: BaseFacts,
  found: Replies | null,
  atOne: KeyPlan,
): KeyPlan {
  const list: Command[] = [];
  const counts: number[] = [];
  const shapes: Shape[] = [];
  let setsExpiry = 0;
  let expiries = 0;
  let hasWritten = false;
  for (const operation of operations) {
    // After a write nobody knows whether there is a value: whoever asks has to be told to read.
    const facts = hasWritten ? { ...base, live: true } : base;
    let plan = operation.plan(facts, null);
    if (plan.kind === 'read') {
      if (hasWritten) return atOne;
      if (found === null) return plan;
      plan = operation.plan(facts, found);
      if (plan.kind === 'read') return plan;
    }
    if (plan.kind === 'one') return atOne;
    if (base.isOwnExpired && setsExpiryAt(operation, facts, found)) expiries++;
    list.push(...plan.commands.list);
    counts.push(plan.commands.list.length);
    shapes.push(plan.reply);
    if (plan.setsExpiry > 0 && (setsExpiry === 0 || plan.setsExpiry < setsExpiry)) setsExpiry = plan.setsExpiry;
    hasWritten ||= operation.reads === null;
  }
  if (expiries > 1) return atOne;
  const commands: Commands = { list, protocol };
  const reply = gathered(counts, shapes);
  return setsExpiry === 0 ? all(commands, reply) : allBefore(setsExpiry, commands, reply, atOne);
}

/** Whether it would set one, were none over yet. */
function setsExpiryAt(operation: KeyOperation, facts: BaseFacts, found: Replies | null): boolean {
  const plan = operation.plan({ ...facts, isOwnExpired: false }, found);
  return plan.kind === 'all' && plan.setsExpiry > 0;
}

/** EXEC's array of the replies, of which each operation has its count. */
function gathered(counts: readonly number[], shapes: readonly Shape[]): Shape {
  return (replies) => {
    const parts: Uint8Array[] = [arrayHeader(shapes.length)];
    let at = 0;
    for (const [place, shape] of shapes.entries()) {
      const end = at + (counts[place] as number);
      parts.push(...shape(replies.slice(at, end)));
      at = end;
    }
    return [Buffer.concat(parts)];
  };
}
