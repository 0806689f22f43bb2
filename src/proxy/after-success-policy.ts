/** Does something once all nodes have carried a command out, before its client hears of it. */
import type { Output } from '../transport/output.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

export class AfterSuccessPolicy implements ResponsePolicy {
  readonly needsOne: boolean;
  private readonly inner: ResponsePolicy;
  /** Null once it is done. */
  private act: (() => void) | null;

  constructor(inner: ResponsePolicy, act: () => void) {
    this.needsOne = inner.needsOne;
    this.inner = inner;
    this.act = act;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return this.inner.fits(bytes, part);
  }

  onSuccess(): void {
    this.act?.();
    this.act = null;
  }

  write(parts: Parts, output: Output): void {
    // In a transaction it is a part of EXEC's reply that is written.
    this.onSuccess();
    this.inner.write(parts, output);
  }
}
