/**
 * What a new configuration may change in a running proxy, decided purely: old and new in, words out.
 *
 * Whatever would have keys that may exist looked for on another node is refused until keys can be moved, unless the
 * operator says that this is meant. Some things need a restart. All else holds at once.
 */
import { formatEndpoint } from '../base/endpoint.js';
import type { PoolConfig } from '../base/pools-section.js';
import type { Config } from '../config.js';
import type { KeyspaceConfig } from '../routing/keyspace-section.js';

export interface Reload {
  /** What would look for existing keys elsewhere, each as a sentence. Not empty: nothing may be applied. */
  remaps: string[];
  /** What differs and holds only after a restart, each as a sentence. The rest may be applied. */
  restarts: string[];
}

/** Compares the running configuration with a new, valid one. */
export function planReload(before: Config, after: Config): Reload {
  return { remaps: remaps(before, after), restarts: restarts(before, after) };
}

function remaps(before: Config, after: Config): string[] {
  const found: string[] = [];
  for (const keyspace of after.keyspaces) {
    const same = before.keyspaces.find(({ prefix }) => prefix === keyspace.prefix);
    const home = same ?? narrowest(before.keyspaces, keyspace.prefix);
    if (home === null) continue;
    const name = `keyspace "${keyspace.prefix}"`;
    if (home.mode !== keyspace.mode)
      found.push(`${name}: its keys had mode ${home.mode}, and would have ${keyspace.mode}`);
    if (home.pool !== keyspace.pool)
      found.push(`${name}: its keys are in pool ${home.pool}, and would be looked for in ${keyspace.pool}`);
    // The rules hold nothing but words, in one order: equal rules are equal texts.
    if (JSON.stringify(home.placement) !== JSON.stringify(keyspace.placement))
      found.push(`${name}: its keys would be placed by other rules (placement, hash, hashTag or colocate)`);
  }
  for (const keyspace of before.keyspaces) {
    if (after.keyspaces.some(({ prefix }) => prefix === keyspace.prefix)) continue;
    found.push(`keyspace "${keyspace.prefix}" is gone: its keys in pool ${keyspace.pool} would no longer be found`);
  }
  for (const pool of after.pools) {
    const old = before.pools.find(({ name }) => name === pool.name);
    if (old !== undefined && before.keyspaces.some((keyspace) => keyspace.pool === pool.name))
      found.push(...poolRemaps(old, pool));
  }
  return found;
}

/** Slots follow the names and weights of a pool's nodes; addresses and passwords may change. */
function poolRemaps(before: PoolConfig, after: PoolConfig): string[] {
  const found: string[] = [];
  for (const node of after.nodes) {
    const old = before.nodes.find(({ name }) => name === node.name);
    if (old === undefined)
      found.push(`pool ${after.name}: node ${node.name} is new, and would be given slots of the others`);
    else if (old.weight !== node.weight) {
      found.push(`pool ${after.name}: node ${node.name} has weight ${old.weight}, and would have ${node.weight}`);
    }
  }
  for (const node of before.nodes) {
    if (after.nodes.some(({ name }) => name === node.name)) continue;
    found.push(`pool ${after.name}: node ${node.name} is gone, and its slots would be given to the others`);
  }
  return found;
}

/** The keyspace that keys with that prefix belong to: the one with the longest prefix of it. */
function narrowest(keyspaces: readonly KeyspaceConfig[], prefix: string): KeyspaceConfig | null {
  let found: KeyspaceConfig | null = null;
  for (const keyspace of keyspaces) {
    if (prefix.startsWith(keyspace.prefix) && keyspace.prefix.length >= (found?.prefix.length ?? 0)) found = keyspace;
  }
  return found;
}

function restarts(before: Config, after: Config): string[] {
  const found: string[] = [];
  const say = (what: string, old: string, now: string) => {
    if (old !== now) found.push(`${what}: ${old} runs, ${now} takes a restart`);
  };
  say('workers', String(before.workers), String(after.workers));
  say('transport', before.transport, after.transport);
  say('listen', before.listen.map(formatEndpoint).join(', '), after.listen.map(formatEndpoint).join(', '));
  say(
    'admin',
    before.admin === null ? 'none' : formatEndpoint(before.admin),
    after.admin === null ? 'none' : formatEndpoint(after.admin),
  );
  say('log.format', before.log.format, after.log.format);
  return found;
}
