/** SCRIPT EXISTS: what all nodes have, and what the proxy knows, in whichever worker, and sends to those that lack it. */
import { skipValue } from '../resp/frame.js';
import { arrayHeader, integerReply } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import type { Wait } from './node-steps.js';
import { type Part, type Parts, type ResponsePolicy, responsePolicy } from './response-policy.js';

const ONE = 0x31;

export class ScriptsExistPolicy implements ResponsePolicy {
  readonly inWords = '1 where all say so, or the proxy knows the script';
  readonly needsOne = false;
  private readonly inner = responsePolicy('agg_logical_and', false);
  private readonly asked: readonly string[];
  readonly effect: () => Wait | null;
  /** Of each script, when all nodes have answered. */
  private known: readonly boolean[] = [];

  /**
   * `asked`: the scripts; `isKnown`: whether the proxy knows one, once that has come to pass which `seek` returns. They are asked when all nodes have
   * answered: then SCRIPT FLUSH that was sent before is done, and one that was sent later is not.
   */
  constructor(asked: readonly string[], seek: () => Wait | null, isKnown: (sha: string) => boolean) {
    this.asked = asked;
    const look = () => {
      this.known = asked.map((sha) => isKnown(sha));
    };
    this.effect = () => {
      const wait = seek();
      if (wait === null) {
        look();
        return null;
      }
      return (then) =>
        wait(() => {
          look();
          then();
        });
    };
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return this.inner.fits(bytes, part);
  }

  write(parts: Parts, output: Output): void {
    const { bytes, partCount } = parts;
    const at = Array.from({ length: partCount }, (_, index) => bytes.indexOf(0x0a, parts.part(index).start) + 1);
    output.appendBytes(arrayHeader(this.asked.length));
    for (const isKnown of this.known) {
      let isEverywhere = true;
      for (const [index, start] of at.entries()) {
        // `:0` or `:1`.
        isEverywhere &&= bytes[start + 1] === ONE;
        at[index] = skipValue(bytes, start);
      }
      output.appendBytes(integerReply(isEverywhere || isKnown ? 1 : 0));
    }
  }
}
