/**
 * Commands that may wait at the node: BLPOP and its like, XREAD with BLOCK, WAIT. Each goes by connections that the session has for
 * itself while it waits, and alone: after the replies to all before it, and nothing after it is read until it has been answered.
 *
 * The node keeps the time. What ends the wait besides: the client goes, the node is lost or no longer well, CLIENT UNBLOCK.
 */
import type { Pending, PendingPool, ReplyOwner } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import type { Holder, PrivateConnection } from '../backend/private-connection.js';
import { errorBytes } from '../base/errors.js';
import type { NodeSnapshot } from '../messages.js';
import type { CommandSpec } from '../resp/commands.js';
import { encodeCommand, integerReply } from '../resp/reply.js';
import type { Arena } from '../transport/arena.js';
import type { BlockedBy } from './intake.js';
import type { MergePool } from './merge.js';
import { responsePolicy } from './response-policy.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

export interface BlockingContext {
  arena: Arena;
  pendings: PendingPool;
  pool: BackendPool;
  /** A connection to that node for `holder` alone, or the error reply why there is none. */
  lend: (session: Session, node: number, holder: Holder) => PrivateConnection | Uint8Array;
  now: () => number;
  merges: MergePool;
}

const PING = encodeCommand(['PING']);
const ONE = integerReply(1);

export class Blocking {
  private readonly context: BlockingContext;

  constructor(context: BlockingContext) {
    this.context = context;
  }

  /** Sends the command last read, arena bytes [start, end), to the node of its keys. */
  send(session: Session, spec: CommandSpec, node: number, start: number, end: number): void {
    const { pendings, lend, now } = this.context;
    const wait = new BlockedSession(this.context);
    const connection = lend(session, node, wait);
    if (connection instanceof Uint8Array) {
      session.reply(connection);
      return;
    }
    wait.add(connection);
    const pending = pendings.take(session, now(), spec.write);
    session.track(pending, end - start);
    session.block(wait);
    const refusal = connection.send(pending, start, end);
    if (refusal !== null) session.onFailure(pending, refusal);
  }

  /**
   * WAIT goes to every node that the session may have written to, after a PING: a node counts the replicas that have what it had
   * when the connection's last command came, and a fresh connection has had none.
   */
  wait(session: Session, { nodes }: Service, start: number, end: number): void {
    const { arena, lend, now, merges } = this.context;
    const wait = new BlockedSession(this.context);
    const written = nodes.filter(({ index }) => session.mayHaveWritten(index));
    const asked = written.length > 0 ? written : nodes.slice(0, 1);
    const connections: PrivateConnection[] = [];
    for (const { index } of asked) {
      const connection = lend(session, index, wait);
      if (connection instanceof Uint8Array) {
        wait.end();
        session.reply(connection);
        return;
      }
      wait.add(connection);
      connections.push(connection);
    }
    const frameBytes = PING.length + end - start;
    const block = arena.allocate(frameBytes);
    if (block < 0) {
      wait.end();
      session.reply(errorBytes('OVERLOADED', 'no buffer memory is left for this command; it was not sent'));
      return;
    }
    arena.bytes.set(PING, block);
    arena.bytes.copyWithin(block + PING.length, start, end);
    const merge = merges.begin(session, responsePolicy('agg_min', false), false, end - start, now());
    session.block(wait);
    const parts = asked.map(({ label }) => merge.addPart(label, now(), false));
    for (const [place, part] of parts.entries()) {
      part.preludes = 1;
      merge.sendPart(connections[place] as PrivateConnection, part, block, block + frameBytes);
    }
    arena.settle();
    arena.release(block, frameBytes);
  }
}

/** The connections by which a session waits. */
class BlockedSession implements Holder, BlockedBy {
  private readonly context: BlockingContext;
  private readonly connections: PrivateConnection[] = [];
  /** How often a node is being told to end the wait. Until it has answered, it may end that of the next who has the connection. */
  private unblockings = 0;
  private isOver = false;
  private mayUnblockLater = false;

  constructor(context: BlockingContext) {
    this.context = context;
  }

  add(connection: PrivateConnection): void {
    connection.mayBlock = true;
    this.connections.push(connection);
  }

  /** The command has been told so. */
  onLost(): void {}

  /** All have answered. */
  end(): void {
    this.isOver = true;
    if (this.unblockings === 0) this.giveBack();
  }

  /** Nobody waits any more. */
  cancel(): void {
    for (const connection of this.connections) connection.destroy('its client has gone');
  }

  unblock(isError: boolean, done: (isUnblocked: boolean) => void): void {
    // What the node has not been told yet does not wait there.
    const waiting = this.connections.filter(({ clientId }) => clientId > 0);
    const { pendings, now } = this.context;
    this.unblockings++;
    const unblocking = new Unblocking(this.context, waiting.length, (isUnblocked, isCertain) => {
      this.unblockings--;
      this.mayUnblockLater ||= !isCertain;
      if (this.isOver && this.unblockings === 0) this.giveBack();
      done(isUnblocked);
    });
    for (const { node, clientId } of waiting) {
      const pending = pendings.take(unblocking, now(), true);
      unblocking.send(
        pending,
        node,
        encodeCommand(['CLIENT', 'UNBLOCK', `${clientId}`, isError ? 'ERROR' : 'TIMEOUT']),
      );
    }
    if (waiting.length === 0) unblocking.finish();
  }

  private giveBack(): void {
    for (const connection of this.connections) {
      if (this.mayUnblockLater) connection.destroy('it may be unblocked yet');
      else connection.giveBack(null);
    }
  }
}

/** CLIENT UNBLOCK, as the proxy says it to the nodes where a session waits. */
class Unblocking implements ReplyOwner {
  readonly isGone = false;
  private readonly context: BlockingContext;
  private awaited: number;
  private isUnblocked = false;
  private isCertain = true;
  private readonly done: (isUnblocked: boolean, isCertain: boolean) => void;

  /** `isCertain`: all nodes have answered, so that none unblocks anybody for it any more. */
  constructor(context: BlockingContext, awaited: number, done: (isUnblocked: boolean, isCertain: boolean) => void) {
    this.context = context;
    this.awaited = awaited;
    this.done = done;
  }

  send(pending: Pending, node: NodeSnapshot, frame: Uint8Array): void {
    const { arena, pool } = this.context;
    const channel = pool.commonOf(node);
    const block = channel === null ? -1 : arena.allocate(frame.length);
    if (channel === null || block < 0) {
      this.onFailure(pending);
      return;
    }
    arena.bytes.set(frame, block);
    const refusal = channel.send(pending, block, block + frame.length);
    if (refusal !== null) this.onFailure(pending);
    arena.settle();
    arena.release(block, frame.length);
  }

  onReply(pending: Pending, start: number, end: number): void {
    this.isUnblocked ||= Buffer.from(this.context.arena.bytes.subarray(start, end)).equals(ONE);
    this.onAnswered(pending);
  }

  onPrelude(): void {}

  /** It was not unblocked there; if the node is lost, its wait ends by that. */
  onFailure(pending: Pending): void {
    this.isCertain = false;
    this.onAnswered(pending);
  }

  finish(): void {
    this.done(this.isUnblocked, this.isCertain);
  }

  private onAnswered(pending: Pending): void {
    this.context.pendings.release(pending);
    if (--this.awaited === 0) this.finish();
  }

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }
}
