/**
 * Brings the copies of one key of consistency eventual together: whoever has an older version is given the newest that any copy has that can
 * be reached. Nothing is decided, and who writes meanwhile is not disturbed: a copy takes what is larger, and nothing else.
 */
import type { Ballot } from '../replica/ballot.js';
import type { Commands, Replies, Value } from '../replica/commands.js';
import { encodeStep } from '../replica/node-step.js';
import type { Answer, KeyState, Step } from '../replica/step.js';
import type { NodeLink } from './node-link.js';
import { recordInForce } from './pool-rounds.js';

type Links = ReadonlyMap<number, NodeLink>;

interface Seen {
  node: number;
  accepted: Ballot;
}

/** So many copies were given a newer version. Null: that could not be done, or not wholly. */
export async function exchangeKey(links: Links, key: Uint8Array, nodes: readonly number[]): Promise<number | null> {
  const seen = await peekAll(links, key, nodes);
  const newest = seen.reduce(newer, NOBODY);
  const behind = seen.filter(({ accepted }) => accepted < newest.accepted);
  if (behind.length === 0) return 0;
  const state = await askCopy(links, newest.node, key, { kind: 'snapshot' });
  if (state?.kind !== 'view') return null;
  const { accepted, lineage, live, expireAt, value } = state;
  const given = await Promise.all(
    behind.map(({ node }) => giveState(links, node, key, { accepted, lineage, live, expireAt, value })),
  );
  return given.every((isGiven) => isGiven) ? behind.length : null;
}

/** The newest version that a copy has. `isOfAll`: all of them could be asked. */
export async function newestOf(
  links: Links,
  key: Uint8Array,
  nodes: readonly number[],
): Promise<{ version: Ballot; isOfAll: boolean }> {
  const seen = await peekAll(links, key, nodes);
  return { version: seen.reduce(newer, NOBODY).accepted, isOfAll: seen.length === nodes.length };
}

/** Whether the copy has that state now, or a newer one. */
export async function giveState(links: Links, node: number, key: Uint8Array, state: KeyState<Value>): Promise<boolean> {
  const answer = await askCopy(links, node, key, { kind: 'merge', state });
  return answer?.kind === 'ok' || answer?.kind === 'already' || answer?.kind === 'refused';
}

/** Of the copies that can be asked. */
async function peekAll(links: Links, key: Uint8Array, nodes: readonly number[]): Promise<Seen[]> {
  const views = await Promise.all(
    nodes.map(async (node) => {
      const view = await askCopy(links, node, key, { kind: 'peek' });
      return view?.kind === 'view' ? { node, accepted: view.accepted } : null;
    }),
  );
  return views.filter((view) => view !== null);
}

function newer(one: Seen, other: Seen): Seen {
  return other.accepted > one.accepted ? other : one;
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

const NOBODY: Seen = { node: -1, accepted: '' };
