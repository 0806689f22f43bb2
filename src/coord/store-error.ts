/**
 * What a coordination store could not do:
 *
 *   unavailable   nothing was changed, and nothing will be. Worth trying again.
 *   unknown       it may have been carried out, or may be yet, or was and has been overwritten. Never "failed".
 *   refused       nothing was changed, and trying again is of no use: the request, the rights, or what was found there
 */
export type StoreFault = 'unavailable' | 'unknown' | 'refused';

export class StoreError extends Error {
  override name = 'StoreError';
  readonly fault: StoreFault;

  constructor(fault: StoreFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
  }
}
