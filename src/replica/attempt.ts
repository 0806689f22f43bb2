/** A step that changes a key, under one ballot, and what its copies have said of it. Copies are bits, bit i for copy i. */
import type { Ballot } from './ballot.js';
import { bits } from './copies.js';
import type { Lineage } from './lineage.js';

/** `operation`: what the client wants to be done. `identity`: it finishes one. `read`, `cleaning` (of what has expired): nobody can tell. */
export type Role = 'operation' | 'identity' | 'read' | 'cleaning';

/** What a ballot is used for, once (rule W1). */
export interface Use {
  readonly ballot: Ballot;
  readonly base: Ballot;
  readonly lineage: Lineage;
  /** The same proposer's next ballot, which is asked for with it. */
  readonly next: Ballot;
}

export class Attempt<R> {
  readonly role: Role;
  readonly ballot: Ballot;
  readonly base: Ballot;
  readonly lineage: Lineage;
  readonly next: Ballot;
  /** Copies that it was sent to, and those of them that have said that they did not take it and never will. */
  sentTo: number;
  denied = 0;
  /** Of these, those that could not (rule W8). */
  unable = 0;
  /** Copies that have accepted it, whenever they said so. */
  accepted = 0;
  /** Of an identity: which attempt at the operation is there. */
  finishes: Attempt<R> | null = null;
  /** Of the first that carried out its commands. */
  replies: R | null = null;
  /** What makes the client's reply of these. */
  readonly reply: (replies: R) => R;
  /** How many have carried them out, which was the first, and those that gave other replies. */
  private replied = 0;
  private repliedFirst = 0;
  private differing = 0;

  constructor(role: Role, { ballot, base, lineage, next }: Use, sentTo: number, reply: (replies: R) => R) {
    this.role = role;
    this.ballot = ballot;
    this.base = base;
    this.lineage = lineage;
    this.next = next;
    this.sentTo = sentTo;
    this.reply = reply;
  }

  /** Whether no copy has accepted it, nor will. */
  get isNowhere(): boolean {
    return this.denied === this.sentTo;
  }

  /**
   * A copy has carried out its commands. Null: nothing is known to differ; else the copies that differ from most, 0 while nobody knows
   * which these are. `areEqual` is null where replies may differ.
   */
  onReplies(bit: number, replies: R, areEqual: ((one: R, other: R) => boolean) | null, quorum: number): number | null {
    this.replied++;
    if (this.replies === null) {
      this.replies = replies;
      this.repliedFirst = bit;
      return null;
    }
    if (areEqual === null) return null;
    if (!areEqual(this.replies, replies)) this.differing |= bit;
    const others = bits(this.differing);
    if (others === 0) return null;
    // Those are right that are most.
    if (this.replied - others >= quorum) return this.differing;
    return others >= quorum ? this.repliedFirst : 0;
  }
}
