/** Commands of the proxy's own, as Redis describes those of its own: for the command table, COMMAND, and redis-cli's help. */

export interface OwnCommand {
  readonly name: string;
  /** A row as those of command-data: what stands behind the name. Since: which version of the proxy. */
  readonly row: string;
  readonly summary: string;
  readonly arguments: readonly OwnArgument[];
}

export interface OwnArgument {
  readonly name: string;
  readonly type: 'key' | 'string' | 'integer' | 'pure-token' | 'oneof';
  readonly isMultiple?: boolean;
  /** The word before it, or that it is. */
  readonly token?: string;
  readonly isOptional?: boolean;
  /** Of 'oneof': which. */
  readonly arguments?: readonly OwnArgument[];
}

export const OWN_GROUP = 'lock';
/** The one whose keys are those of the command within it, which begins with its fourth word. */
export const FENCED = 'rl.fenced';

const NAME: OwnArgument = { name: 'name', type: 'key' };
const TOKEN: OwnArgument = { name: 'token', type: 'string' };
const TTL: OwnArgument = { name: 'milliseconds', type: 'integer', token: 'TTL' };

const MODE: OwnArgument = {
  name: 'mode',
  type: 'oneof',
  isOptional: true,
  arguments: [
    { name: 'shared', type: 'pure-token', token: 'SHARED' },
    { name: 'holders', type: 'integer', token: 'LIMIT' },
  ],
};

export const OWN_COMMANDS: readonly OwnCommand[] = [
  {
    name: 'lock.acquire',
    row: '-4; denyoom noscript write; write slow; 1 1 1; index 1 range 0 1 0 RW access update;; lock; 0.1.0',
    summary: 'Take a lock on a majority of its nodes, or wait for it',
    arguments: [
      NAME,
      TTL,
      { name: 'milliseconds', type: 'integer', token: 'WAIT', isOptional: true },
      MODE,
      { name: 'session', type: 'pure-token', token: 'SESSION', isOptional: true },
      { ...TOKEN, token: 'TOKEN', isOptional: true },
    ],
  },
  {
    name: 'lock.break',
    row: '2; noscript write; write slow; 1 1 1; index 1 range 0 1 0 RW access delete;; lock; 0.1.0',
    summary: 'Free a lock whoever holds it, and say how many did',
    arguments: [NAME],
  },
  {
    name: 'lock.extend',
    row: '5; noscript write; write slow; 1 1 1; index 1 range 0 1 0 RW access update;; lock; 0.1.0',
    summary: 'Have a lock held for so long from now on',
    arguments: [NAME, TOKEN, TTL],
  },
  {
    name: 'lock.info',
    row: '2; noscript readonly; read slow; 1 1 1; index 1 range 0 1 0 RO access;; lock; 0.1.0',
    summary: 'Who holds a lock, under which fence, and for how long',
    arguments: [NAME],
  },
  {
    name: 'lock.list',
    row: '-1; noscript readonly; read slow;;;; lock; 0.1.0',
    summary: 'The locks that are held, of names that fit a pattern, and who holds them',
    arguments: [{ name: 'pattern', type: 'string', isOptional: true }],
  },
  {
    name: 'lock.macquire',
    row: '-5; denyoom movablekeys noscript write; write slow;; index 1 keynum 0 1 1 RW access update;; lock; 0.1.0',
    summary: 'Take several locks, all or none, or wait for them',
    arguments: [
      { name: 'numkeys', type: 'integer' },
      { ...NAME, isMultiple: true },
      TTL,
      { name: 'milliseconds', type: 'integer', token: 'WAIT', isOptional: true },
      MODE,
      { name: 'session', type: 'pure-token', token: 'SESSION', isOptional: true },
      { ...TOKEN, token: 'TOKEN', isOptional: true },
    ],
  },
  {
    name: 'lock.release',
    row: '3; noscript write; write slow; 1 1 1; index 1 range 0 1 0 RW access delete;; lock; 0.1.0',
    summary: 'Free a lock that is held by this token',
    arguments: [NAME, TOKEN],
  },
  {
    name: 'rl.consistency',
    row: '-1; fast loading noscript stale; connection fast;;;; connection; 0.1.0',
    summary: 'Say at which level this connection reads replicated keys, or ask',
    arguments: [
      {
        name: 'level',
        type: 'oneof',
        isOptional: true,
        arguments: ['strong', 'quorum', 'eventual', 'weak', 'default'].map((level) => {
          return { name: level, type: 'pure-token', token: level.toUpperCase() };
        }),
      },
    ],
  },
  {
    name: FENCED,
    row: '-4; denyoom movablekeys noscript write; write slow;;;; lock; 0.1.0',
    summary: 'Carry out a command unless a larger fence of that lock has used one of its keys',
    arguments: [
      { name: 'lock', type: 'string' },
      { name: 'fence', type: 'integer' },
      { name: 'command', type: 'string' },
      { name: 'argument', type: 'string', isOptional: true, isMultiple: true },
    ],
  },
];
