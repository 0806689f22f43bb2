/**
 * CONFIG GET: what one node says, but for what is another thing of one Redis that stands where the proxy does.
 *
 *   port, cluster-enabled, maxclients       those of the proxy, as INFO has them
 *   requirepass, masterauth, masteruser …   '': by these the proxy goes to the nodes. Of its clients' passwords it has digests only, as a Redis whose
 *                                           users are in an aclfile, which says '' as well
 *
 * With `auth: passthrough` the node answers its own user, who sees there what it may see.
 */
import type { Limits } from '../base/limits.js';
import { elementsOf, textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { isCredential } from '../resp/node-settings.js';
import { bulkReply } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { frameOf, isAggregate } from './node-frames.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';
import type { Service } from './service.js';

export class ConfigGetPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly hidesCredentials: boolean;
  /** By the name of the setting. */
  private readonly own: ReadonlyMap<string, string>;

  constructor({ port, hasSlots }: Service, { clientsMax }: Limits, hidesCredentials: boolean) {
    this.hidesCredentials = hidesCredentials;
    this.own = new Map([
      ['port', `${port}`],
      ['cluster-enabled', hasSlots ? 'yes' : 'no'],
      ['maxclients', `${clientsMax}`],
    ]);
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    if (!isAggregate(bytes, part)) return false;
    const elements = elementsOf(frameOf(bytes, part));
    return elements.length % 2 === 0 && elements.every(([type]) => type === TYPE.bulk);
  }

  write(parts: Parts, output: Output): void {
    const frame = frameOf(parts.bytes, parts.part(0));
    const elements = elementsOf(frame);
    const head = frame.slice(0, frame.indexOf(LF) + 1);
    output.appendBytes(
      Buffer.concat([head, ...elements.map((element, index) => this.shown(elements, element, index))]),
    );
  }

  /** Names and values by turns. A node says names as they were asked for, in any case. */
  private shown(elements: readonly Uint8Array[], element: Uint8Array, index: number): Uint8Array {
    if (index % 2 === 0) return element;
    const name = textOf(elements[index - 1] as Uint8Array).toLowerCase();
    if (this.hidesCredentials && isCredential(name)) return EMPTY;
    const own = this.own.get(name);
    return own === undefined ? element : bulkReply(own);
  }
}

const LF = 0x0a;
const EMPTY = bulkReply('');
