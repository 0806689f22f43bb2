/** Words of commands: made, compared with those of Redis's syntax, and read as numbers. */
import { argumentIs } from '../resp/command-words.js';
import { parseInt64 } from '../resp/int64.js';
import type { Command } from './commands.js';

export const INT64_MAX = 2n ** 63n - 1n;
export const INT64_MIN = -(2n ** 63n);

/** One character a byte (latin1). */
export function word(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** One character a byte (latin1). */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** Whether it is `name` (lower-case letters) in any case. */
export function isWord(bytes: Uint8Array | undefined, name: string): boolean {
  return bytes !== undefined && argumentIs(bytes, 0, bytes.length, name);
}

/** A 64-bit integer as Redis reads one (string2ll); null when it is none. */
export function integerOf(bytes: Uint8Array): bigint | null {
  return parseInt64(textOf(bytes));
}

/** `words` with another at `at`. */
export function replaced(words: Command, at: number, value: Uint8Array): Command {
  return [...words.slice(0, at), value, ...words.slice(at + 1)];
}
