/** Which server of a store is asked: one at a time, until it fails; then the next one. */
import { StoreError } from './store-error.js';

export class ServerTurn<S> {
  private readonly servers: readonly S[];
  private index = 0;
  /** Those that this process and they do not trust each other, when they were last asked. */
  private readonly strangers = new Set<number>();

  /** `servers`: at least one. */
  constructor(servers: readonly S[]) {
    this.servers = servers;
  }

  get current(): number {
    return this.index;
  }

  at(index: number): S {
    return this.servers[index] as S;
  }

  onWell(index: number): void {
    this.strangers.delete(index);
  }

  /** It has failed: others are asked. */
  leave(index: number): void {
    if (this.index === index) this.index = (index + 1) % this.servers.length;
  }

  /** What is to be said when it was not trusted, or did not trust: as long as others may, it is worth trying again. */
  stranger(index: number, message: string, cause: unknown): StoreError {
    this.strangers.add(index);
    return new StoreError(this.strangers.size === this.servers.length ? 'refused' : 'unavailable', message, cause);
  }
}
