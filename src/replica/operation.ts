/**
 * What a client wants of one replicated key, in the form that makes equal states on all nodes (REPLICATION.md, W4 and the
 * table of deterministic forms). `forms` makes it of a client's command, and a round carries it out.
 */
import type { Ballot } from './ballot.js';

/** What is known of the state that an operation starts from. */
export interface BaseFacts {
  /** Its ballot: the same one means the same state. */
  accepted: Ballot;
  /** Whether there is a value. A base whose expiry has passed has none. */
  live: boolean;
  /** Milliseconds since 1970; 0 for none. */
  expireAt: number;
  /** The proposer's clock, in milliseconds since 1970: expiries are counted from it. */
  nowMs: number;
  /** A node's clock has passed the expiry that the operation sets (rule X2): it is to delete instead, if its flags allow it. */
  isOwnExpired: boolean;
}

export type Plan<C, R> =
  /** All nodes carry out the commands. The reply to the client is made of theirs. */
  | {
      kind: 'all';
      commands: C;
      /** The earliest expiry that they may set, in milliseconds since 1970; 0 for none. */
      setsExpiry: number;
      /** Of replies to the commands, the one to the client. */
      reply: (replies: R) => R;
    }
  /** These are read first, on the base, at any node; then `plan` is asked again with their replies. */
  | { kind: 'read'; commands: C }
  /** They may make another state on each node: one node carries them out, the others get its state. */
  | { kind: 'one'; commands: C; reply: (replies: R) => R };

/** One copy, as the process that has it now: another has other hash tables. */
export interface Reader {
  /** Its number among the copies of the key. */
  readonly copy: number;
  /** Of PROCESS_MARKS numbers one that changes, most likely, with the process. */
  readonly process: number;
}

export const PROCESS_MARKS = 1024;

/** A walk through a value's hash table by a cursor. `plan` does nothing but make a state chosen, after which it is read again. */
export interface Walk<R> {
  /** The copy that the cursor is of; null at the beginning: any will do. */
  readonly reader: Reader | null;
  /** In place of `readReply`. */
  reply(replies: R, reader: Reader): R;
}

/** One command, or a transaction, on one key. */
export interface Operation<C, R> {
  /** The commands, if all of them only read: then no ballot is needed where the nodes agree. Null for a write. */
  readonly reads: C | null;
  /** What makes the client's reply of those of `reads`. */
  readonly readReply: (replies: R) => R;
  /** Whether nodes with equal states give equal replies (rule W9). Not where chance, a clock, or a hash table's order has a say. */
  readonly repliesAgree?: boolean;
  /** It makes the same state of any base, and `plan` says `all` whatever that is: a put, where keys have versions (docs/CONSISTENCY.md, quorum). */
  readonly isPut?: boolean;
  /** For reads whose replies tell of the hash tables of the copy that gave them (rule R3); else absent. */
  readonly walk?: Walk<R>;
  /** How it is carried out on that base. `found`: the replies to what was to be read there; null the first time. */
  plan(base: BaseFacts, found: R | null): Plan<C, R>;
}
