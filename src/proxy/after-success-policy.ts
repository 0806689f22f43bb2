/** Does something once all nodes have carried a command out, before its client hears of it. */
import type { Output } from '../transport/output.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

export class AfterSuccessPolicy implements ResponsePolicy {
  readonly needsOne: boolean;
  private readonly inner: ResponsePolicy;
  private readonly act: () => void;

  constructor(inner: ResponsePolicy, act: () => void) {
    this.needsOne = inner.needsOne;
    this.inner = inner;
    this.act = act;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return this.inner.fits(bytes, part);
  }

  write(parts: Parts, output: Output): void {
    this.act();
    this.inner.write(parts, output);
  }
}
