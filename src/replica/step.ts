/**
 * The steps of the protocol of replicated keys (REPLICATION.md), as a proposer asks them of one node, and what it answers.
 * Each is carried out atomically there, and asking it again changes nothing. Types alone: `scripts` has them carried out on a
 * Redis server, the tests have a model of them.
 *
 * C are commands, R their replies, and V is a value, whole: how these look is the business of who carries them out.
 */
import type { Ballot } from './ballot.js';
import type { Lineage } from './lineage.js';

/** A key after a ballot, as far as it is known without its value. */
export interface KeyFacts {
  /** The ballot of its state; NEVER for a key that nothing was written to. */
  accepted: Ballot;
  /** What it stands on. */
  lineage: Lineage;
  /** Whether that state has a value. */
  live: boolean;
  /** Milliseconds since 1970; 0 for none. */
  expireAt: number;
}

/** A whole state. `value` is null where there is none, and where the expiry of a live one has passed (rule X2). */
export interface KeyState<V> extends KeyFacts {
  value: V | null;
}

/**
 * A base that every copy has: a step on it is a *put*, whose commands make the same state of any other, and that is carried out wherever
 * no larger ballot was promised. What its commands fail at is not accepted. `expected` is null, and `expired` false.
 */
export const ANY: Ballot = '';

export type Step<C, V> =
  | { kind: 'prepare'; ballot: Ballot }
  | {
      kind: 'accept';
      ballot: Ballot;
      base: Ballot;
      /**
       * Of the base, as far as the proposer knows; null where it does not. The copy's own are what counts: where they are as expected the
       * step costs it less.
       */
      expected: KeyFacts | null;
      /** Of `ballot`. */
      lineage: Lineage;
      /** The base has expired: its value is deleted first. */
      expired: boolean;
      /** What makes the state of `ballot` from that of `base`; no commands for an identity. */
      commands: C;
      /** The earliest expiry that the commands may set, in milliseconds since 1970; 0 for none. */
      setsExpiry: number;
      /** The same proposer's next ballot, promised with this one. */
      next: Ballot;
      /** Commands that leave the value as it was, by its bytes, leave the copy at the base (`same`). For commands that one copy carries out alone. */
      keepsSame?: boolean;
    }
  /** `state.accepted` is its ballot. */
  | { kind: 'install'; state: KeyState<V>; next: Ballot }
  /**
   * Takes the state if its version is larger than the copy's own, whatever was promised, and whatever floors there are: for keys of which the
   * larger version stays, and nothing else counts. `refused` tells the copy's own version as what was promised.
   */
  | { kind: 'merge'; state: KeyState<V> }
  | { kind: 'snapshot' }
  | { kind: 'peek' }
  | { kind: 'read'; commands: C }
  | { kind: 'collect'; ballot: Ballot };

/** What refuses a ballot: the node's effective promise for the key, and its floors. It need not have been kept: `accepted` is what it has. */
export interface Refusal {
  kind: 'refused';
  promised: Ballot;
  accepted: Ballot;
  epochFloor: number;
  collectFloor: Ballot;
}

/** No vote and no fact: the node is not the member that the caller knew. */
export interface NotMember {
  kind: 'not-member';
}

/** The step did not set out for the node, which therefore never carries it out. Else no answer (null) leaves that open. */
export interface Unsent {
  kind: 'unsent';
}

/** The node could not do it, for a reason that is not the key's (rule W8): -OOM, -READONLY, -LOADING … It has accepted nothing. */
export interface Unable {
  kind: 'unable';
  /** Its error as a reply: `-OOM command not allowed …\r\n`. */
  error: Uint8Array;
}

export type PrepareAnswer =
  | (KeyFacts & { kind: 'ok' /** The largest that was collected. */; collected: Ballot; epochFloor: number })
  | Refusal
  | NotMember
  | Unable;

/** To accept, install and merge. */
export type AcceptAnswer<R> =
  /** It has the state of the ballot now. `replies`: to the commands; null for an install and a merge. */
  | { kind: 'ok'; promised: Ballot; live: boolean; expireAt: number; replies: R | null }
  /** It had it before. */
  | { kind: 'already'; promised: Ballot; live: boolean; expireAt: number }
  /** The commands were carried out, and have left the value as it was: it has the base, as was asked for. */
  | { kind: 'same'; replies: R }
  /** It has another state than the base. */
  | { kind: 'stale' }
  /** The base's expiry, or the one that the commands set, has passed by its clock. */
  | { kind: 'expired'; what: 'base' | 'own' }
  | Refusal
  | NotMember
  | Unsent
  | Unable;

/** To snapshot (`value`), peek and read (`replies`). `isExpired`: live, and the value is gone. */
export type ViewAnswer<R, V> =
  | (KeyFacts & { kind: 'view'; isExpired: boolean; value: V | null; replies: R | null })
  | NotMember
  | Unable;

/** To collect. `isCollected`: the key has no meta now; else it has another state, or one with a value. */
export type CollectAnswer = { kind: 'collected'; isCollected: boolean } | NotMember | Unable;

export type Answer<R, V> = PrepareAnswer | AcceptAnswer<R> | ViewAnswer<R, V> | CollectAnswer;
