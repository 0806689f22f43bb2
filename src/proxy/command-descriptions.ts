/**
 * COMMAND and its subcommands: one node is asked, and where they are of use the proxy's own commands are added (described-commands.ts). The node is
 * one of the lowest version that there is, and of those one that has no more modules than others of its pool: what it knows all of these know. Of
 * several pools it is the one whose nodes have most: what only they know is of use to their keyspaces.
 */
import type { LaneChannel } from '../backend/lane.js';
import type { BackendPool } from '../backend/pool.js';
import type { NodeSnapshot } from '../messages.js';
import type { CommandSpec } from '../resp/commands.js';
import { FENCED } from '../resp/own-commands.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import { DescribedCommands, keysOfOwn } from './described-commands.js';
import { NO_ROOM, WORDS_BEFORE_FENCED } from './fenced.js';
import type { KeyLocator } from './key-locator.js';
import type { MergePool } from './merge.js';
import { requestWords } from './request-words.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

export interface CommandDescriptionsContext {
  arena: Arena;
  reader: RequestReader;
  pool: BackendPool;
  locator: KeyLocator;
  merges: MergePool;
  now: () => number;
  /** Sends arena bytes [start, end), a read, as they are to that node. */
  forward: (session: Session, node: number, start: number, end: number) => void;
  /** The node for a command without keys. */
  anyNode: (session: Session) => number;
}

export class CommandDescriptions {
  private readonly context: CommandDescriptionsContext;

  constructor(context: CommandDescriptionsContext) {
    this.context = context;
  }

  /** Carries out the command last read, whose frame is arena bytes [start, end). */
  carryOut(session: Session, service: Service, spec: CommandSpec, start: number, end: number): void {
    const { reader, arena, merges, locator, now, forward } = this.context;
    const node = this.nodeFor(session, service);
    if (!service.hasLocks && !service.hasStoreLocks && !service.isReplicated) {
      forward(session, node, start, end);
      return;
    }
    const words = requestWords(reader, arena.bytes).map((word) => Buffer.from(word).toString('latin1'));
    const given = words.slice(2);
    const hasFlags = spec.name === 'command|getkeysandflags';
    if (hasFlags || spec.name === 'command|getkeys') {
      if (given.length > WORDS_BEFORE_FENCED && given[0]?.toLowerCase() === FENCED) {
        this.describeFenced(session, node, spec, end);
        return;
      }
      const keys = keysOfOwn(given, hasFlags, session.protocol);
      if (keys !== null) session.reply(keys);
      else forward(session, node, start, end);
      return;
    }
    const policy = new DescribedCommands(spec.name, given, session.protocol);
    const merge = merges.begin(session, policy, false, end - start, now());
    const part = merge.addPart(locator.nodeName(node), now(), false);
    merge.sendPart(session.lane.channels[node] as LaneChannel, part, start, end);
  }

  /** See above, if one of those is up. */
  private nodeFor(session: Session, { nodes }: Service): number {
    const { pool, anyNode } = this.context;
    const lowest = pool.version(nodes);
    const { channels } = session.lane;
    const modulesOf = (node: NodeSnapshot) => pool.commonOf(node)?.modules ?? 0;
    /** By pool. */
    const fewest = new Map<string, number>();
    for (const node of nodes) {
      // One that has said nothing yet counts for nothing.
      if (pool.commonOf(node)?.version)
        fewest.set(node.pool, Math.min(modulesOf(node), fewest.get(node.pool) ?? Number.POSITIVE_INFINITY));
    }
    const able = nodes.filter(
      (node) => channels[node.index]?.isReady === true && pool.commonOf(node)?.version === lowest,
    );
    const common = able.filter((node) => modulesOf(node) === fewest.get(node.pool));
    const [first, ...others] = common.length > 0 ? common : able;
    if (first === undefined) return anyNode(session);
    return others.reduce((one, other) => (modulesOf(other) > modulesOf(one) ? other : one), first).index;
  }

  /** COMMAND GETKEYS, or GETKEYSANDFLAGS, of RL.FENCED: that of the command within it. */
  private describeFenced(session: Session, node: number, { name }: CommandSpec, end: number): void {
    const { arena, reader, forward } = this.context;
    const { argumentCount, argumentEnd } = reader;
    // COMMAND, GETKEYS, and what is left out.
    const before = 2 + WORDS_BEFORE_FENCED;
    const start = (argumentEnd[before - 1] as number) + 2;
    const [, subcommand = ''] = name.split('|');
    const head = `*${argumentCount - WORDS_BEFORE_FENCED}\r\n$7\r\nCOMMAND\r\n$${subcommand.length}\r\n${subcommand}\r\n`;
    const frameBytes = head.length + end - start;
    const block = arena.allocate(frameBytes);
    if (block < 0) {
      session.reply(NO_ROOM);
      return;
    }
    arena.bytes.set(Buffer.from(head), block);
    arena.bytes.copyWithin(block + head.length, start, end);
    forward(session, node, block, block + frameBytes);
    arena.settle();
    arena.release(block, frameBytes);
  }
}
