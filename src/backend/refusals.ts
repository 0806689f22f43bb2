/** What a client is told of a command that its node did not answer, and how often that is said: one method a fate. */
import { formatEndpoint } from '../base/endpoint.js';
import { errorBytes } from '../base/errors.js';
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot } from '../messages.js';

export class Refusals {
  private readonly counts: Counts;

  constructor(counts: Counts) {
    this.counts = counts;
  }

  /** It was not sent, or only reads. */
  nodeDown(node: NodeSnapshot, reason: string): Uint8Array {
    this.counts.commandsNodeDown++;
    return errorBytes('NODEDOWN', `${showNode(node)}: ${reason}; the command had no effect`);
  }

  /** A write was sent, and its reply did not come. */
  unknown(node: NodeSnapshot, reason: string): Uint8Array {
    this.counts.writesUnknown++;
    return errorBytes('UNKNOWN', `${showNode(node)}: ${reason}; the write may or may not have been done`);
  }

  /** The node's queue is full. */
  overloaded(node: NodeSnapshot): Uint8Array {
    this.counts.commandsOverloaded++;
    const { nodeQueueBytesMax, nodeQueueCommandsMax } = node.limits;
    const limits = `nodeQueueBytesMax ${nodeQueueBytesMax}, nodeQueueCommandsMax ${nodeQueueCommandsMax}`;
    return errorBytes('OVERLOADED', `${showNode(node)}: too much waits for it (${limits}); the command was not sent`);
  }

  /** Every private connection that it may have is in use. */
  noPrivateConnection(node: NodeSnapshot): Uint8Array {
    this.counts.privateConnectionsRefused++;
    const limit = `privateConnectionsMax ${node.limits.privateConnectionsMax}`;
    return errorBytes(
      'OVERLOADED',
      `${showNode(node)}: all its private connections are in use (${limit}); nothing was sent`,
    );
  }

  /** An argument has more bytes than the node takes. */
  tooLarge(node: NodeSnapshot, bulkBytesMax: number): Uint8Array {
    this.counts.commandsOverloaded++;
    const what = `an argument is larger than it takes (proto-max-bulk-len ${bulkBytesMax})`;
    return errorBytes('OVERLOADED', `${showNode(node)}: ${what}; the command was not sent`);
  }
}

/** The node, as an error names it. */
export function showNode(node: NodeSnapshot): string {
  const address = formatEndpoint(node.address);
  return node.label === address ? `node ${address}` : `node ${node.label} (${address})`;
}
