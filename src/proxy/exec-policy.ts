/** EXEC's reply: made of the node's, of what the proxy answers itself, and of what all its workers were asked. */
import { errorBytes } from '../base/errors.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { arrayHeader, errorReply, isError, parseInteger } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

export class ExecPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly commandCount: number;
  private readonly local: ReadonlyMap<number, Uint8Array>;
  private readonly hasNode: boolean;
  /** Of what all workers were asked, the places: their answers are the parts behind the node's. */
  private readonly asked: readonly number[];
  /** How the node refused MULTI, and the first of the commands after it. */
  private multiError = '';
  private queueError = '';

  constructor(
    commandCount: number,
    local: ReadonlyMap<number, Uint8Array>,
    hasNode: boolean,
    asked: readonly number[],
  ) {
    this.commandCount = commandCount;
    this.local = local;
    this.hasNode = hasNode;
    this.asked = asked;
  }

  /** The node's replies to MULTI and to each command that it queued. */
  onPrelude(place: number, bytes: Uint8Array, start: number, end: number): void {
    if (!isError(bytes, start)) return;
    const text = new TextDecoder().decode(bytes.subarray(start + 1, end - 2));
    if (place === 0) this.multiError = text;
    else if (this.queueError === '') this.queueError = text;
  }

  fits(): boolean {
    // Whatever EXEC answers is told as it is.
    return true;
  }

  write(parts: Parts, output: Output): void {
    const { bytes } = parts;
    const node: Part | null = this.hasNode ? parts.part(0) : null;
    if (node !== null && this.writeWhole(bytes, node, output)) return;
    output.appendBytes(arrayHeader(this.commandCount));
    let at = node === null ? 0 : lineEnd(bytes, node);
    for (let place = 0; place < this.commandCount; place++) {
      const own = this.local.get(place);
      const asked = this.asked.indexOf(place);
      if (own !== undefined) {
        output.appendBytes(own);
      } else if (asked >= 0) {
        const { start, bytes: length } = parts.part(asked + (node === null ? 0 : 1));
        output.appendNow(start, start + length);
      } else {
        const end = skipValue(bytes, at);
        output.appendNow(at, end);
        at = end;
      }
    }
  }

  /** Where the node's reply is the whole, or says that there is none: writes it, and returns true. */
  private writeWhole(bytes: Uint8Array, node: Part, output: Output): boolean {
    if (this.multiError !== '') {
      const text = `node ${node.nodeName} refused MULTI: ${this.multiError}; the commands may have been carried out one by one`;
      output.appendBytes(errorBytes('UNKNOWN', text));
      return true;
    }
    if (isError(bytes, node.start) && this.queueError !== '') {
      output.appendBytes(errorReply(`EXECABORT Transaction discarded because of: ${this.queueError}`));
      return true;
    }
    const isMixed = this.local.size > 0 || this.asked.length > 0;
    const hasReplies = bytes[node.start] === TYPE.array && parseInteger(bytes, node.start, lineEnd(bytes, node)) >= 0;
    if (isMixed && hasReplies) return false;
    output.appendNow(node.start, node.start + node.bytes);
    return true;
  }

  /** The whole reply, where the node had nothing to do. */
  localOnly(): Uint8Array {
    const replies = Array.from({ length: this.commandCount }, (_, place) => this.local.get(place) as Uint8Array);
    return Buffer.concat([arrayHeader(this.commandCount), ...replies]);
  }
}

/** Where the first line of the reply of `part` ends. */
function lineEnd(bytes: Uint8Array, { start }: Part): number {
  return bytes.indexOf(0x0a, start) + 1;
}
