/** The same command on two keys in the same state: finds it, asks it, and says whether replies and states after are the same. */
import type { Command } from '../../src/replica/commands.js';
import { findKeys, KeyList } from '../../src/resp/command-keys.js';
import { arityFits, type CommandSpec, findCommand, findSubcommand } from '../../src/resp/commands.js';
import type { KeyDigest } from './key-digest.js';
import { parseReply, type Value } from './reference-parser.js';
import { encodeWords, type RespClient } from './resp-client.js';

/** What the machine may take between the two. */
const CLOCK_TOLERANCE_MS = 60_000;

export interface Found {
  spec: CommandSpec;
  command: Command;
}

/** A command on `k`. Null for what never comes to a replicated key: the proxy answers it before, or its keys are others. */
export function findOnKey(words: readonly string[]): Found | null {
  const command = words.map((word) => Buffer.from(word, 'latin1'));
  const bytes = Buffer.concat(command);
  const start = new Int32Array(command.length);
  const end = new Int32Array(command.length);
  for (let at = 0, place = 0; place < command.length; place++) {
    start[place] = at;
    at += (command[place] as Buffer).length;
    end[place] = at;
  }
  let spec = findCommand(bytes, 0, end[0] as number);
  if (spec !== null && spec.subcommands !== null) {
    spec = findSubcommand(spec, bytes, start[1] as number, end[1] as number);
  }
  if (spec === null || !arityFits(spec, words.length)) return null;
  const keys = new KeyList();
  const count = findKeys(spec, bytes, start, end, words.length, keys);
  if (count <= 0) return null;
  for (const at of keys.positions.subarray(0, count)) if (words[at] !== 'k') return null;
  return { spec, command };
}

/** Makes the state of `k` that the commands make of none. */
export async function makeState(client: RespClient, state: readonly string[][]): Promise<void> {
  client.send(Buffer.concat([encodeWords(['DEL', 'k']), ...state.map((words) => encodeWords(words))]));
  for (let count = 0; count <= state.length; count++) await client.next();
}

/** As one Redis answers. What would wait is asked inside MULTI. */
export async function ask(client: RespClient, { spec, command }: Found): Promise<Buffer> {
  if (!spec.blocking) return client.raw(...command);
  client.send(Buffer.concat([encodeWords(['MULTI']), encodeWords(command), encodeWords(['EXEC'])]));
  await client.next();
  await client.next();
  const reply = await client.next();
  return reply.subarray(reply.indexOf('\n') + 1);
}

const RANDOM = new Set(['spop', 'srandmember', 'hrandfield', 'zrandmember']);
const CLOCKED = new Set(['ttl', 'pttl', 'xpending', 'object|idletime', 'xinfo|consumers', 'xinfo|stream']);
/** Moments, which may be counted from now. */
const MOMENTS = new Set(['expiretime', 'pexpiretime']);
/** Said of the memory, which the scripts of the other side may have touched, or of how a copy is laid out. */
const LAYOUT = new Set(['memory|usage', 'object|refcount', 'dump']);

/**
 * Whether the replies are byte for byte the same; or no more different than chance, clocks and the order of hash tables make
 * them. `repliesAgree`: the last has no say.
 */
export function isSameReply(
  { spec, command }: Found,
  repliesAgree: boolean,
  expected: Uint8Array,
  carried: Uint8Array,
): boolean {
  if (Buffer.from(carried).equals(expected)) return true;
  if (expected[0] !== carried[0]) return false;
  const [one, other] = [parseReply(expected)?.value as Value, parseReply(carried)?.value as Value];
  if (LAYOUT.has(spec.name)) return true;
  if (RANDOM.has(spec.name) && shapeOf(one) === shapeOf(other)) return true;
  if (CLOCKED.has(spec.name) && withoutClock(one) === withoutClock(other)) return true;
  if (MOMENTS.has(spec.name) && areNear(one, other)) return true;
  const isChosen = spec.name === 'xadd' && command.some((word) => Buffer.from(word).toString() === '*');
  if (isChosen && /^\d{13}-\d+$/.test(String(other))) return true;
  return !repliesAgree && sorted(one) === sorted(other);
}

/** Whether the states are the same after `spec`, but for moments of now. */
export function isSameState(spec: CommandSpec, expected: KeyDigest, carried: KeyDigest): boolean {
  if (expected.type !== carried.type) return false;
  const apart = Math.abs(expected.expireAt - carried.expireAt);
  if (apart > (expected.expireAt > 0 && carried.expireAt > 0 ? CLOCK_TOLERANCE_MS : 0)) return false;
  const [one, other] = [withoutCount(expected.content), withoutCount(carried.content)];
  if (RANDOM.has(spec.name)) return shapeOf(JSON.parse(one || 'null')) === shapeOf(JSON.parse(other || 'null'));
  return withoutMoments(one) === withoutMoments(other);
}

/** Of a HyperLogLog's digest, without the count that PFCOUNT writes into a plain key. */
function withoutCount(content: string): string {
  const text: unknown = content.startsWith('"HYLL') ? JSON.parse(content) : null;
  return typeof text === 'string' ? JSON.stringify(text.slice(0, 8) + text.slice(16)) : content;
}

/** Of sets and maps JSON knows nothing. */
function plainOf(value: Value): unknown {
  if (value instanceof Error) return `-${value.message}`;
  if (value instanceof Set) return ['~', ...[...value].map(plainOf)];
  if (value instanceof Map) return ['%', ...[...value].map((pair) => pair.map(plainOf))];
  if (Array.isArray(value)) return value.map(plainOf);
  return typeof value === 'bigint' ? `${value}` : value;
}

function shapeOf(value: Value): string {
  return JSON.stringify(plainOf(value), (_key, part) => (Array.isArray(part) || part === null ? part : typeof part));
}

function areNear(one: Value, other: Value): boolean {
  return Number(one) > 0 && Number(other) > 0 && Math.abs(Number(one) - Number(other)) < CLOCK_TOLERANCE_MS;
}

function withoutClock(value: Value): string {
  return JSON.stringify(plainOf(value), (_key, part) => {
    if (typeof part === 'number' && part >= 0) return 'number';
    return typeof part === 'string' ? part.replace(/^\d{13}(?=-|$)/, 'now') : part;
  });
}

/** Of a stream's digest: moments of now are taken out. */
function withoutMoments(content: string): string {
  return content.replace(/(?<=[[,"])1[6-9]\d{11}(?=[-,\]])/g, '0');
}

function sorted(value: Value): string {
  return (JSON.stringify(plainOf(value)) ?? '').split('').sort().join('');
}
