/**
 * From a client's command on one replicated key to the operation that carries it out (REPLICATION.md, W4): in the form that
 * makes equal states on all nodes, with the reply that one Redis would give.
 *
 *   words -> form-table -> { reads | plan(base, found) -> read first | on all nodes | on one node }
 */
import type { CommandSpec } from '../resp/commands.js';
import { errorReply, type Protocol } from '../resp/reply.js';
import type { Command } from './commands.js';
import { formOf } from './form-table.js';
import type { KeyOperation } from './key-operation.js';

/**
 * `spec` is the subcommand's for a container; `words` all of the command, of a right number (`arityFits`), whose keys were
 * found (`findKeys`) and are all the same one. Returns the error reply for a command that replicated keyspaces refuse.
 * Commands that wait for data get the form that does not (see `isNothing` in blocking-forms).
 */
export function operationOf(spec: CommandSpec, words: Command, protocol: Protocol): KeyOperation | Uint8Array {
  if (spec.route === 'reject') return errorReply(spec.reason);
  const form = formOf(spec);
  if (form === null) throw new Error(`${spec.name} is no command on one key`);
  return form(words, protocol);
}
