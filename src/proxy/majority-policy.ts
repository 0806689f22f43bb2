/**
 * SCRIPT LOAD and SCRIPT EXISTS where locks are: a script is to be known by a majority of the nodes of each lock, since a majority carries it out;
 * and by each node that has other keys.
 */
import type { Output } from '../transport/output.js';
import { type Part, type Parts, type ResponsePolicy, responsePolicy } from './response-policy.js';

export class MajorityPolicy implements ResponsePolicy {
  /** What a failure means `write` says. */
  readonly needsOne = true;
  private readonly inner: ResponsePolicy;
  private readonly nodes: readonly { readonly index: number }[];
  private readonly lockSets: readonly (readonly number[])[];

  /** `tip`: that of the command; `nodes`: those of the parts; `lockSets`: each set of nodes that a lock is on. */
  constructor(
    tip: string | null,
    nodes: readonly { readonly index: number }[],
    lockSets: readonly (readonly number[])[],
  ) {
    this.inner = responsePolicy(tip, false);
    this.nodes = nodes;
    this.lockSets = lockSets;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return this.inner.fits(bytes, part);
  }

  write(parts: Parts, output: Output): void {
    const answered: Part[] = [];
    const failed: [number, Part][] = [];
    for (const [place, { index }] of this.nodes.entries()) {
      const part = parts.part(place);
      if (part.failure === null && this.fits(parts.bytes, part)) answered.push(part);
      else failed.push([index, part]);
    }
    const away = new Set(failed.map(([index]) => index));
    for (const [index, part] of failed) {
      if (this.isSpared(index, away)) continue;
      if (part.failure !== null) output.appendBytes(part.failure);
      else output.appendNow(part.start, part.start + part.bytes);
      return;
    }
    const { bytes, keyCount, partOfKey } = parts;
    const part = (index: number) => answered[index] as Part;
    this.inner.write({ bytes, partCount: answered.length, part, keyCount, partOfKey }, output);
  }

  /** Whether the locks of that node do without those that are away. */
  private isSpared(node: number, away: ReadonlySet<number>): boolean {
    const sets = this.lockSets.filter((set) => set.includes(node));
    return sets.length > 0 && sets.every((set) => set.filter((other) => !away.has(other)).length * 2 > set.length);
  }
}
