/** Operations on one key as `forms` makes them, and the ways to make one. */
import { isError } from '../resp/reply.js';
import type { Command, Commands, Replies } from './commands.js';
import type { BaseFacts, Operation, Plan } from './operation.js';
import { canSetExpiry } from './script-commands.js';
import { word } from './words.js';

export interface KeyOperation extends Operation<Commands, Replies> {
  /** What one node alone is to carry out, in place of all, where each for itself would make another state. */
  readonly plain: Commands;
  /** Of its replies, the client's. */
  readonly plainReply: (replies: Replies) => Replies;
  /**
   * Whether nodes with equal states give equal replies, so that they can be compared (rule W9). They do not where chance,
   * a node's clock, or the order of its hash tables has a say: SRANDMEMBER, PTTL, SMEMBERS.
   */
  readonly repliesAgree: boolean;
  isPut?: boolean;
  /** Nodes find fault with its words, whatever the key holds: for commands that else wait for what it comes to hold. */
  readonly isFaulty?: boolean;
}

type Protocol = Commands['protocol'];
export type KeyPlan = Plan<Commands, Replies>;
/** Of the replies to an operation's commands, the client's. */
export type Shape = (replies: Replies) => Replies;

export const SAME: Shape = (replies) => replies;
/** Where commands follow that only put the state right. */
export const FIRST: Shape = (replies) => replies.slice(0, 1);

/** Is carried out in the same way, whatever the base. */
class FixedOperation implements KeyOperation {
  readonly reads: Commands | null;
  readonly readReply: Shape;
  readonly plain: Commands;
  readonly plainReply: Shape;
  readonly repliesAgree: boolean;
  readonly isFaulty: boolean;
  isPut = false;
  private readonly fixedPlan: KeyPlan;

  constructor(commands: Commands, onlyReads: boolean, shape: Shape, repliesAgree: boolean, isFaulty = false) {
    this.reads = onlyReads ? commands : null;
    this.readReply = onlyReads ? shape : SAME;
    this.plain = commands;
    this.plainReply = shape;
    this.repliesAgree = repliesAgree;
    this.isFaulty = isFaulty;
    this.fixedPlan = all(commands, shape);
  }

  plan(): KeyPlan {
    return this.fixedPlan;
  }
}

/** Only reads. */
export function reading(command: Command, protocol: Protocol, repliesAgree: boolean): KeyOperation {
  return new FixedOperation({ list: [command], protocol }, true, SAME, repliesAgree);
}

/** Is answered `reply`, whatever the key holds. */
export function answering(reply: Uint8Array, key: Uint8Array, protocol: Protocol): KeyOperation {
  return new FixedOperation({ list: [[EXISTS, key]], protocol }, true, () => [reply], true);
}

/** A write that makes the same state everywhere. `shape` makes the client's reply of the command's. */
export function everywhere(command: Command, protocol: Protocol, shape: Shape = SAME): KeyOperation {
  return new FixedOperation({ list: [command], protocol }, false, shape, true);
}

/** The same of what leaves the same on any base. */
export function put(command: Command, protocol: Protocol): KeyOperation {
  return asPut(everywhere(command, protocol));
}

export function asPut(operation: KeyOperation): KeyOperation {
  operation.isPut = true;
  return operation;
}

/** What nodes find fault with. */
export function faulty(command: Command, protocol: Protocol): KeyOperation {
  return new FixedOperation({ list: [command], protocol }, false, SAME, true, true);
}

/** What no node can do as another does. */
export function atOneNode(command: Command, protocol: Protocol): KeyOperation {
  return planned(command, protocol, (_base, _found, plain) => oneNode(plain));
}

/** A write whose commands depend on the base or the clock. `plain` is what one node would carry out. */
export function planned(
  command: Command,
  protocol: Protocol,
  plan: (base: BaseFacts, found: Replies | null, plain: Commands) => KeyPlan,
): KeyOperation {
  const plain: Commands = { list: [command], protocol };
  return {
    reads: null,
    readReply: SAME,
    plain,
    plainReply: SAME,
    repliesAgree: true,
    plan: (base, found) => plan(base, found, plain),
  };
}

/** All nodes carry out `commands`, which set no expiry. */
export function all(commands: Commands, reply: Shape = SAME): KeyPlan {
  return { kind: 'all', commands, setsExpiry: 0, reply };
}

/**
 * All nodes carry out `commands`, the earliest of whose expiries is `moment` (milliseconds since 1970); or one `plain`, where
 * the moment might pass meanwhile (`canSetExpiry`).
 */
export function allBefore(moment: number, commands: Commands, reply: Shape, plain: KeyPlan): KeyPlan {
  return canSetExpiry(commands) ? { kind: 'all', commands, setsExpiry: moment, reply } : plain;
}

export function oneNode(plain: Commands): KeyPlan {
  return { kind: 'one', commands: alone(plain), reply: SAME };
}

export function alone(commands: Commands): Commands {
  return { ...commands, isAlone: true };
}

/** `shape`, where the first reply is no error: an error is the client's as it is. */
export function unlessError(shape: (reply: Uint8Array, replies: Replies) => Uint8Array): Shape {
  return (replies) => {
    const reply = replies[0] as Uint8Array;
    return [isError(reply, 0) ? reply : shape(reply, replies)];
  };
}

/** Whether a reply is the error of a command for another type than the key's. */
export function isWrongType(reply: Uint8Array | undefined): boolean {
  return beginsWith(reply, WRONGTYPE);
}

/** Whether a reply is the error of a command for a group of a stream that it does not have. */
export function isNoGroup(reply: Uint8Array | undefined): boolean {
  return beginsWith(reply, NOGROUP);
}

const EXISTS = word('EXISTS');
const WRONGTYPE = Buffer.from('-WRONGTYPE');
const NOGROUP = Buffer.from('-NOGROUP');

function beginsWith(reply: Uint8Array | undefined, start: Buffer): boolean {
  return reply !== undefined && start.compare(reply, 0, Math.min(start.length, reply.length)) === 0;
}
