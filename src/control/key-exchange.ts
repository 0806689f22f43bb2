/** Brings the copies of one key of consistency eventual together, as `mending` says. */
import type { Commands, Replies, Value } from '../replica/commands.js';
import { exchange, type Mending } from '../replica/mending.js';
import { encodeStep } from '../replica/node-step.js';
import type { Answer, Step } from '../replica/step.js';
import type { NodeLink } from './node-link.js';
import { recordInForce } from './pool-rounds.js';

type Links = ReadonlyMap<number, NodeLink>;

/** So many copies were given a newer version. Null: that could not be done, or not wholly. */
export function exchangeKey(links: Links, key: Uint8Array, nodes: readonly number[]): Promise<number | null> {
  return mendKey(links, key, exchange(nodes));
}

/** Has the nodes asked what it says until it ends. */
export async function mendKey<T>(
  links: Links,
  key: Uint8Array,
  mending: Mending<Commands, Replies, Value, T>,
): Promise<T> {
  let result = mending.next();
  while (result.done !== true) {
    const asked = result.value;
    result = mending.next(await Promise.all(asked.map(({ node, step }) => askCopy(links, node, key, step))));
  }
  return result.value;
}

/** Null: no answer came that counts. */
async function askCopy(
  links: Links,
  node: number,
  key: Uint8Array,
  step: Step<Commands, Value>,
): Promise<Answer<Replies, Value> | null> {
  const link = links.get(node);
  const record = link === undefined ? null : recordInForce(link, links.values());
  if (link === undefined || record === null) return null;
  return link.askMember(record, encodeStep(step, key, Buffer.from(record)));
}
