/** Does something once all nodes have carried a command out, before its client hears of it. */
import type { Output } from '../transport/output.js';
import { allSucceeded } from './partial-failure.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

export class AfterSuccessPolicy implements ResponsePolicy {
  readonly needsOne: boolean;
  readonly effect: (parts: Parts, done: () => void) => void;
  private readonly inner: ResponsePolicy;

  /** `act` calls `done` once, at once or in a bounded time. */
  constructor(inner: ResponsePolicy, act: (done: () => void) => void) {
    this.needsOne = inner.needsOne;
    this.inner = inner;
    this.effect = (parts, done) => {
      if (allSucceeded(parts, this)) act(done);
      else done();
    };
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return this.inner.fits(bytes, part);
  }

  write(parts: Parts, output: Output): void {
    this.inner.write(parts, output);
  }
}
