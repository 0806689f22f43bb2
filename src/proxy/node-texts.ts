/** What nodes say in text for people (LATENCY DOCTOR, MEMORY MALLOC-STATS): one text, in which each node's stands under its name. */
import { textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { isError, verbatimReply } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { frameOf, framesOf } from './node-frames.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

/** `nothing`: how the error begins of a node that has nothing to say; it is the reply where all say so. */
export class NodeTextsPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly nothing: Uint8Array | null;

  constructor(nothing: string | null = null) {
    this.nothing = nothing === null ? null : Buffer.from(nothing);
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    const type = bytes[part.start];
    return type === TYPE.bulk || type === TYPE.verbatim || this.isNothing(frameOf(bytes, part));
  }

  write(parts: Parts, output: Output): void {
    const frames = framesOf(parts);
    const [first] = frames as [Uint8Array];
    // What all say alike is said as one server would.
    if (frames.every((frame) => Buffer.compare(frame, first) === 0)) {
      output.appendBytes(first);
      return;
    }
    const texts = frames.flatMap((frame, index) => {
      if (isError(frame, 0)) return [];
      const text = textOf(frame).slice(frame[0] === TYPE.verbatim ? 'txt:'.length : 0);
      return `# Node ${parts.part(index).nodeName}\n${text.replace(/\n*$/, '\n')}`;
    });
    const protocol = frames.some(([type]) => type === TYPE.verbatim) ? 3 : 2;
    // Texts have a character a byte.
    output.appendBytes(verbatimReply(Buffer.from(texts.join('\n'), 'latin1').toString('utf8'), protocol));
  }

  private isNothing(frame: Uint8Array): boolean {
    const { nothing } = this;
    return nothing !== null && Buffer.compare(frame.subarray(0, nothing.length), nothing) === 0;
  }
}
