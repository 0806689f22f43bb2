/**
 * Messages of the nodes that something was put into a key, or that a lock was freed: each says so as it does that, under the mark of that
 * write.
 *
 *   first word of a write ──> gathering ──a majority has said so──> woken
 *                                 └─── a while, and fewer have ───> doubted
 *
 * A write is chosen when a majority has carried it out. Who took what it has put there before would ask for promises that bar it
 * from the other nodes, and both would have to find out what became of it.
 */
import { randomBytes } from 'node:crypto';
import type { Transport } from '../transport/transport.js';
import type { Commands } from './commands.js';
import type { KeyOperation } from './key-operation.js';
import { WAKE_CHANNEL } from './meta.js';
import { word } from './words.js';

/** What a message says. */
export interface Wake {
  /** Of the write. */
  readonly mark: string;
  /** A character a byte. */
  readonly key: string;
}

/** In which the other nodes do what the first to say so has done; or get what a script has made at one of them. */
const GATHER_MS = 100;
/** Writes that are gathered at a time: of one more nothing is known but by who looks of himself. */
const GATHERED_MAX = 10_000;
/** A mark: whose write it is, and which. */
const OWNER_CHARS = 12;
const COUNT_CHARS = 8;
const MARK_CHARS = OWNER_CHARS + COUNT_CHARS;
const COUNT_MAX = 16 ** COUNT_CHARS;
const PUBLISH = word('PUBLISH');

export class Wakes {
  private readonly transport: Transport;
  private readonly owner = randomBytes(OWNER_CHARS / 2).toString('hex');
  private count = 0;
  /** By mark, how many nodes have said so. */
  private readonly said = new Map<string, number>();

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** `operation`, after whose commands each node says that something may be there. */
  waking(operation: KeyOperation, key: Uint8Array): KeyOperation {
    const message = [PUBLISH, word(WAKE_CHANNEL), Buffer.concat([word(this.nextMark()), key])];
    const extended = (commands: Commands): Commands => ({ ...commands, list: [...commands.list, message] });
    return {
      ...operation,
      plain: extended(operation.plain),
      plainReply: (replies) => operation.plainReply(replies.slice(0, -1)),
      plan: (base, found) => {
        const plan = operation.plan(base, found);
        if (plan.kind === 'read') return plan;
        return { ...plan, commands: extended(plan.commands), reply: (replies) => plan.reply(replies.slice(0, -1)) };
      },
    };
  }

  /** That of another write: so many characters that stand before the key in its messages. */
  nextMark(): string {
    this.count = (this.count + 1) % COUNT_MAX;
    return this.owner + this.count.toString(16).padStart(COUNT_CHARS, '0');
  }

  /** Of a message's text, a character a byte. */
  read(message: string): Wake {
    return { mark: message.slice(0, MARK_CHARS), key: message.slice(MARK_CHARS) };
  }

  /** Whether it is a write of another worker. */
  isForeign({ mark }: Wake): boolean {
    return !mark.startsWith(this.owner);
  }

  /** Another of `copies` nodes says so. `onWoken` is called when a majority has; `onDoubted` when fewer have, after a while. */
  gather({ mark }: Wake, copies: number, onWoken: () => void, onDoubted: () => void): void {
    const quorum = (copies >> 1) + 1;
    const said = this.said.get(mark) ?? 0;
    if (said === 0) {
      if (this.said.size >= GATHERED_MAX) return;
      const { timers, now } = this.transport;
      timers.set(now + GATHER_MS, () => {
        const isWoken = (this.said.get(mark) as number) >= quorum;
        this.said.delete(mark);
        if (!isWoken) onDoubted();
      });
    }
    this.said.set(mark, said + 1);
    if (said + 1 === quorum) onWoken();
  }
}
