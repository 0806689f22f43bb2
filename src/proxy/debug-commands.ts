/** DEBUG, which the configuration allows to nobody, to clients of this machine, or to all: what its subcommands are, as rows of the table. */
import type { ClientRules } from '../base/client-rules.js';
import { readEndpoint } from '../base/endpoint.js';
import type { CommandSpec } from '../resp/commands.js';
import { debugRow, unknownDebugText } from '../resp/debug-rows.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Session } from './session.js';

/** Redis's words, but for what is to be done. */
const NOT_ALLOWED = errorReply(
  'ERR DEBUG command not allowed. If the enableDebugCommand option of the proxy is set to "local", you can run it from a local ' +
    'connection, otherwise you need to set this option in the configuration file, and then reload it.',
);

export class DebugCommands {
  /** See the configuration. Nodes have a setting of their own. */
  mode: ClientRules['enableDebugCommand'];
  private readonly reader: RequestReader;
  private readonly bytes: Uint8Array;

  /** `bytes`: the arena. */
  constructor(reader: RequestReader, bytes: Uint8Array, mode: ClientRules['enableDebugCommand']) {
    this.reader = reader;
    this.bytes = bytes;
    this.mode = mode;
  }

  /** The row of the DEBUG command last read, or the error why it has none. */
  find(session: Session): CommandSpec | Uint8Array {
    return this.refusal(session) ?? this.row();
  }

  /** Why that client has no DEBUG, or null. */
  refusal(session: Session): Uint8Array | null {
    const { mode } = this;
    const isAllowed = mode === 'yes' || (mode === 'local' && isLocal(session.connection.remoteAddress()));
    return isAllowed ? null : NOT_ALLOWED;
  }

  /** As `find`, of whoever was allowed it. */
  row(): CommandSpec | Uint8Array {
    const { argumentCount } = this.reader;
    const name = this.argument(1);
    const row = debugRow(name, this.argument(2), argumentCount);
    return row ?? errorReply(unknownDebugText(name));
  }

  private argument(index: number): string {
    const { argumentStart, argumentEnd, argumentCount } = this.reader;
    if (index >= argumentCount) return '';
    return Buffer.from(this.bytes.subarray(argumentStart[index], argumentEnd[index])).toString('latin1');
  }
}

/** As Redis sees it (networking.c: islocalClient): a unix socket, or one of two addresses. */
function isLocal(address: string): boolean {
  const endpoint = readEndpoint(address);
  if (endpoint === null) return false;
  return endpoint.kind === 'unix' || ['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(endpoint.host);
}
