/** Which commands Redis may have to tell its replicas of: those that CLIENT PAUSE WRITE holds (server.c: processCommand). */
import { COMMAND_FLAG, type CommandSpec } from './command-spec.js';

/** Redis's flag MAY_REPLICATE, which COMMAND does not show. */
const MAY_REPLICATE: ReadonlySet<string> = new Set(['eval', 'evalsha', 'fcall', 'pfcount', 'publish', 'spublish']);

/** Words of a script's first line that Redis 7.0 knows. */
const SCRIPT_FLAGS: ReadonlySet<string> = new Set([
  ...['no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'],
]);

/** Whether the command may write, or be told to replicas though it does not. Arguments as in `findKeys`. */
export function mayReplicate(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
): boolean {
  if ((spec.flags & COMMAND_FLAG.write) !== 0) return true;
  if (!MAY_REPLICATE.has(spec.name)) return false;
  return spec.name !== 'eval' || !isReadOnlyScript(bytes, argumentStart[1] as number, argumentEnd[1] as number);
}

/** Whether a script says in its first line that it does not write: `#!lua flags=no-writes`. */
export function isReadOnlyScript(bytes: Uint8Array, start: number, end: number): boolean {
  const lineEnd = bytes.indexOf(0x0a, start);
  if (lineEnd < 0 || lineEnd >= end) return false;
  const [engine, ...options] = Buffer.from(bytes.subarray(start, lineEnd)).toString('latin1').trim().split(/\s+/);
  if (engine !== '#!lua' || !options.every((option) => option.startsWith('flags='))) return false;
  const flags = options.flatMap((option) => option.slice('flags='.length).split(','));
  return flags.includes('no-writes') && flags.every((flag) => SCRIPT_FLAGS.has(flag));
}
