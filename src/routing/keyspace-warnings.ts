/** What is right in the keyspaces of the configuration, but probably not what was meant. */
import type { Complain } from '../base/schema.js';
import { isAlone } from './colocate.js';
import type { PlacedSection } from './keyspace-section.js';
import { completeReplication } from './replication-section.js';

/** `sections` are those of a file that is good, `pools` the names of all its pools. */
export function warnOfKeyspaces(sections: readonly PlacedSection[], pools: readonly string[], warn: Complain): void {
  for (const { path, keyspaces = [] } of sections) {
    if (keyspaces.length > 1 && keyspaces.every(({ prefix }) => prefix !== '')) {
      warn(path, ': none has the prefix "": a key that begins with none of these prefixes is refused');
    }
    for (const [index, { colocate = [] }] of keyspaces.entries()) {
      for (const [at, pattern] of colocate.entries()) {
        if (!isAlone(pattern, colocate)) continue;
        const why = 'no two keys that it fits have the same part in braces, so it puts none together';
        warn([...path, index, 'colocate', at], `: ${why}; add what differs between them, as in "bull:{queue}:*"`);
      }
    }
  }
  warnOfShared(sections, pools, warn);
  // Where none are written there is one pool, and it has all keys.
  if (sections.some(({ keyspaces }) => keyspaces === undefined)) return;
  const used = new Set(sections.flatMap(({ keyspaces = [] }) => keyspaces.map(({ pool }) => pool)));
  for (const pool of pools) {
    if (!used.has(pool)) warn(['pools', pool], ': no keyspace uses this pool: nobody reaches its nodes');
  }
}

/** Of keys of consistency eventual in a pool that something else lies in: there repairs take a quorum, and come before time. */
function warnOfShared(sections: readonly PlacedSection[], pools: readonly string[], warn: Complain): void {
  const all = sections.flatMap(({ path, keyspaces = [] }) =>
    keyspaces.map((keyspace, index) => {
      const { pool, mode } = keyspace;
      const isEventual = mode === 'replicated' && completeReplication(keyspace).level.consistency === 'eventual';
      return { path: [...path, index], pool, isEventual };
    }),
  );
  for (const { path, pool, isEventual } of all) {
    const isShared = !pools.includes(pool) || all.some((other) => other.pool === pool && !other.isEventual);
    if (!isEventual || !isShared) continue;
    const why =
      'where proxies are cut off from each other while a node is repaired, a later write may lose to an earlier one';
    warn(
      [...path, 'pool'],
      `: pool ${pool} has more than keys of consistency eventual, so that repairs take a quorum, and ${why}`,
    );
  }
}
