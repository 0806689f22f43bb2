/**
 * THE command table: all commands of Redis 7.0 with what the data plane wants to know of each, found by their bytes.
 * The rows are Redis's own description (command-data.ts); what the proxy does with them is command-routes.ts.
 */
import { makeCommands } from './command-rows.js';
import type { CommandSpec } from './command-spec.js';

export type { CommandSpec } from './command-spec.js';

/** All commands and subcommands, sorted by name: `COMMANDS[spec.index] === spec`. */
export const COMMANDS: readonly CommandSpec[] = makeCommands();

const NAME_BYTES_MIN = 2;
const NAME_BYTES_MAX = 32;
/** Names up to this length are compared in one step; they consist of letters only. */
const LETTERS_COMPARED = 5;

/**
 * Open addressing: a slot holds the index of a command plus one, 0 is empty. A subcommand is kept with its container's
 * index, so that one table serves both. A fifth full, so that nearly every look-up ends at its first slot.
 */
const TABLE_SIZE = 2048;
const TABLE = new Int32Array(TABLE_SIZE);
/** Per command: some of its own name (`id` of `client|id`), see below, and where all of it begins in NAME_BYTES. */
const OUTER = new Int32Array(COMMANDS.length);
const INNER = new Int32Array(COMMANDS.length);
const NAME_START = new Int32Array(COMMANDS.length + 1);
const NAME_BYTES = fillTable();
/** Bytes of a name, or of all arguments together, that an error repeats. */
const REPEATED_MAX = 128;

/**
 * The command whose name is `bytes[start, end)` in any case; null when there is none. Allocates nothing.
 * For a container (`subcommands` not null) with a second argument, `findSubcommand` says which command it is.
 */
export function findCommand(bytes: Uint8Array, start: number, end: number): CommandSpec | null {
  return find(0, bytes, start, end);
}

/** The subcommand of `spec` whose name is `bytes[start, end)` in any case; null when there is none. */
export function findSubcommand(spec: CommandSpec, bytes: Uint8Array, start: number, end: number): CommandSpec | null {
  return find(spec.index + 1, bytes, start, end);
}

/** Whether a command with `argumentCount` arguments, its name and subcommand included, has a right number of them. */
export function arityFits(spec: CommandSpec, argumentCount: number): boolean {
  return spec.arity > 0 ? argumentCount === spec.arity : argumentCount >= -spec.arity;
}

/**
 * `ERR unknown command 'foo', with args beginning with: 'a' 'b' `: Redis 7.0's words (server.c: commandCheckExistence), as
 * all texts here without the leading minus and the line's end. They may hold any bytes of the client's, one character a byte
 * (latin1). Argument i is bytes[argumentStart[i], argumentEnd[i]); 0 is the command's name.
 */
export function unknownCommandText(
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
): string {
  let repeated = '';
  for (let i = 1; i < argumentCount && repeated.length < REPEATED_MAX; i += 1) {
    const room = REPEATED_MAX - repeated.length;
    repeated += `'${cString(bytes, argumentStart[i] as number, argumentEnd[i] as number, room)}' `;
  }
  const name = cString(bytes, argumentStart[0] as number, argumentEnd[0] as number, REPEATED_MAX);
  return oneLine(`ERR unknown command '${name}', with args beginning with: ${repeated}`);
}

/** `ERR unknown subcommand 'x'. Try CLIENT HELP.`, for a container command and its second argument bytes[start, end). */
export function unknownSubcommandText(spec: CommandSpec, bytes: Uint8Array, start: number, end: number): string {
  return oneLine(
    `ERR unknown subcommand '${cString(bytes, start, end, REPEATED_MAX)}'. Try ${spec.name.toUpperCase()} HELP.`,
  );
}

/** `ERR wrong number of arguments for 'client|id' command`; EXEC has its own way of saying so. */
export function wrongArityText(spec: CommandSpec): string {
  const text = `wrong number of arguments for '${spec.name}' command`;
  return spec.name === 'exec' ? `EXECABORT Transaction discarded because of: ${text}` : `ERR ${text}`;
}

function find(container: number, bytes: Uint8Array, start: number, end: number): CommandSpec | null {
  const length = end - start;
  if (length < NAME_BYTES_MIN || length > NAME_BYTES_MAX) return null;
  const outer = outerBytes(bytes, start, end);
  const inner = innerBytes(container, bytes, start, end);
  let slot = tableSlot(outer, inner);
  for (;;) {
    const index = (TABLE[slot] as number) - 1;
    if (index < 0) return null;
    if (OUTER[index] === outer && INNER[index] === inner) {
      if (length <= LETTERS_COMPARED || nameEquals(index, bytes, start, end)) return COMMANDS[index] as CommandSpec;
    }
    slot = (slot + 1) & (TABLE_SIZE - 1);
  }
}

// Five bytes of a name (first, second, middle, last but one, last), its length and its container fit into two integers.
// They tell nearly all commands apart, and are all there is of a name of five letters: so most names are never gone through.

function outerBytes(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start] as number;
  return first | ((bytes[start + 1] as number) << 8) | ((bytes[end - 1] as number) << 16) | 0x202020;
}

function innerBytes(container: number, bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const middle = bytes[start + (length >> 1)] as number;
  return middle | ((bytes[end - 2] as number) << 8) | 0x2020 | (length << 16) | (container << 22);
}

function tableSlot(outer: number, inner: number): number {
  const hash = Math.imul(outer, 0x9e3779b1) ^ Math.imul(inner, 0x85ebca6b);
  return ((hash >>> 16) ^ hash) & (TABLE_SIZE - 1);
}

/** Setting the bit of lower case makes `-` of `\r` too: only letters may differ in it. */
function nameEquals(index: number, bytes: Uint8Array, start: number, end: number): boolean {
  const name = NAME_START[index] as number;
  if ((NAME_START[index + 1] as number) - name !== end - start) return false;
  for (let i = start, j = name; i < end; i += 1, j += 1) {
    const wanted = NAME_BYTES[j] as number;
    const difference = (bytes[i] as number) ^ wanted;
    if (difference !== 0 && (difference !== 0x20 || wanted < 0x61 || wanted > 0x7a)) return false;
  }
  return true;
}

function fillTable(): Uint8Array {
  const names: string[] = [];
  let position = 0;
  for (const spec of COMMANDS) {
    const [containerName, subName] = spec.name.split('|') as [string, string | undefined];
    const ownName = subName ?? containerName;
    NAME_START[spec.index] = position;
    position += ownName.length;
    names.push(ownName);
    const container = subName === undefined ? 0 : COMMANDS.findIndex((other) => other.name === containerName) + 1;
    const bytes = Buffer.from(ownName, 'latin1');
    const outer = outerBytes(bytes, 0, bytes.length);
    const inner = innerBytes(container, bytes, 0, bytes.length);
    OUTER[spec.index] = outer;
    INNER[spec.index] = inner;
    let slot = tableSlot(outer, inner);
    while (TABLE[slot] !== 0) slot = (slot + 1) & (TABLE_SIZE - 1);
    TABLE[slot] = spec.index + 1;
  }
  NAME_START[COMMANDS.length] = position;
  return Buffer.from(names.join(''), 'latin1');
}

/** bytes[start, end) as C's `%.<max>s` prints it: up to a NUL. */
function cString(bytes: Uint8Array, start: number, end: number, max: number): string {
  const text = Buffer.from(bytes.subarray(start, Math.min(end, start + max))).toString('latin1');
  const nul = text.indexOf('\0');
  return nul < 0 ? text : text.slice(0, nul);
}

/** The client's line ends must not end the error. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]/g, ' ');
}
