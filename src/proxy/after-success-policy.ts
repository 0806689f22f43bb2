/** Does something once all nodes have carried a command out, before its client hears of it. */
import type { Output } from '../transport/output.js';
import type { Wait } from './node-steps.js';
import { allSucceeded } from './partial-failure.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

export class AfterSuccessPolicy implements ResponsePolicy {
  readonly inWords: string | undefined;
  readonly needsOne: boolean;
  readonly effect: (parts: Parts) => Wait | null;
  private readonly inner: ResponsePolicy;

  /** `act` returns as `effect` does. */
  constructor(inner: ResponsePolicy, act: () => Wait | null) {
    this.inWords = inner.inWords;
    this.needsOne = inner.needsOne;
    this.inner = inner;
    this.effect = (parts) => (allSucceeded(parts, this) ? act() : null);
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return this.inner.fits(bytes, part);
  }

  write(parts: Parts, output: Output): void {
    this.inner.write(parts, output);
  }
}
