/** Brings the copies of one key of consistency eventual together, as `mending` says. */
import type { Commands, Replies, Value } from '../replica/commands.js';
import { type Exchanged, exchange, type Mending } from '../replica/mending.js';
import { encodeStep } from '../replica/node-step.js';
import type { Answer, Step } from '../replica/step.js';
import type { NodeLink } from './node-link.js';
import { recordInForce } from './pool-rounds.js';
import type { ValuesUnderWay } from './values-under-way.js';

export interface KeyExchange {
  /** By the node's index. */
  links: ReadonlyMap<number, NodeLink>;
  values: ValuesUnderWay;
}

/** `bytes`: what the value takes; unless that is known no other is asked for meanwhile. */
export function exchangeKey(
  exchanges: KeyExchange,
  key: Uint8Array,
  nodes: readonly number[],
  bytes = Number.POSITIVE_INFINITY,
): Promise<Exchanged> {
  return mendKey(exchanges, key, exchange(nodes), bytes);
}

/** Has the nodes asked what it says until it ends. `bytes`: see exchangeKey. */
export async function mendKey<T>(
  { links, values }: KeyExchange,
  key: Uint8Array,
  mending: Mending<Commands, Replies, Value, T>,
  bytes = Number.POSITIVE_INFINITY,
): Promise<T> {
  let hasRoom = false;
  try {
    let result = mending.next();
    while (result.done !== true) {
      const asked = result.value;
      if (!hasRoom && asked.some(({ step }) => step.kind === 'snapshot')) {
        await values.enter(bytes);
        hasRoom = true;
      }
      result = mending.next(await Promise.all(asked.map(({ node, step }) => askCopy(links, node, key, step))));
    }
    return result.value;
  } finally {
    if (hasRoom) values.leave(bytes);
  }
}

/** Null: no answer came that counts. */
async function askCopy(
  links: KeyExchange['links'],
  node: number,
  key: Uint8Array,
  step: Step<Commands, Value>,
): Promise<Answer<Replies, Value> | null> {
  const link = links.get(node);
  const record = link === undefined ? null : recordInForce(link, links.values());
  if (link === undefined || record === null) return null;
  return link.askMember(record, encodeStep(step, key, Buffer.from(record)));
}
