/**
 * Resolves host names for the workers. Who asks for a name that is being looked up gets that answer: a resolver that is slow, or
 * does not answer, has one question for a name at a time, however many channels try to connect meanwhile.
 */
import { lookup } from 'node:dns/promises';

export type Resolve = (host: string) => Promise<string>;

export class NameLookup {
  private readonly underWay = new Map<string, Promise<string>>();
  private readonly resolve: Resolve;

  constructor(resolve: Resolve = systemLookup) {
    this.resolve = resolve;
  }

  /** An address of `host`. Rejects with the system's words. */
  lookUp(host: string): Promise<string> {
    const before = this.underWay.get(host);
    if (before !== undefined) return before;
    const answer = this.resolve(host).finally(() => this.underWay.delete(host));
    this.underWay.set(host, answer);
    return answer;
  }
}

async function systemLookup(host: string): Promise<string> {
  const { address } = await lookup(host);
  return address;
}
