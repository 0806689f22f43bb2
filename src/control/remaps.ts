/**
 * What a new configuration may change in a running proxy, or since the last start, decided purely: old and new in, words out.
 *
 * Whatever would have keys that may exist looked for on another node is refused until keys can be moved, unless the
 * operator says that this is meant. Some things need a restart. All else holds at once.
 */
import { formatEndpoint } from '../base/endpoint.js';
import { formatMilliseconds } from '../base/units.js';
import type { Config } from '../config.js';
import { isSameRule, narrowestKeyspace } from '../routing/keyspace-section.js';
import { describeLevel, strongLevel } from '../routing/levels.js';
import { type LockProvider, storeLocksTrouble } from '../routing/lock-section.js';
import type { Layout, LayoutKeyspace, LayoutNode, LayoutPool, LayoutService } from './layout.js';

/** What to do about remaps. */
export const REMAP_ADVICE =
  'keys are not moved yet: take this back, or start with --accept-remap if the keys may be lost from sight';

/** What to do about locks for which the store of the start is none. */
export const STORE_LOCKS_ADVICE = 'start the proxy again with a store that keeps locks, or take this back';

/** What would look for existing keys elsewhere, each as a sentence. Not empty: nothing may be applied. */
export function planRemaps(before: Layout, after: Layout): string[] {
  const found: string[] = [];
  const several = before.services.length + after.services.length > 2;
  for (const service of before.services) {
    const next = after.services.find(({ name }) => name === service.name) ?? successor(service, before, after);
    const where = several ? `service ${service.name}, ` : '';
    if (next === undefined) found.push(`service ${service.name} is gone: its keys would no longer be found`);
    else found.push(...keyspaceRemaps(service, next, before, after).map((text) => `${where}${text}`));
    for (const address of service.listen) found.push(...addressRemaps(address, service, before, after));
  }
  for (const pool of after.pools) {
    const old = before.pools.find(({ name }) => name === pool.name);
    if (old !== undefined && uses(before, pool.name) && uses(after, pool.name)) found.push(...poolRemaps(old, pool));
    if (uses(after, pool.name)) found.push(...moveRemaps(pool, before));
  }
  return found;
}

function uses({ services }: Layout, pool: string): boolean {
  return services.some(({ keyspaces }) => keyspaces.some((keyspace) => keyspace.pool === pool));
}

/** The service of another name by which all keys of `service` are found still. */
function successor(service: LayoutService, before: Layout, after: Layout): LayoutService | undefined {
  return after.services.find((other) => keyspaceRemaps(service, other, before, after).length === 0);
}

/** Who connects to `address`, which led to `service`, finds its keys where it leads to now. */
function addressRemaps(address: string, service: LayoutService, before: Layout, after: Layout): string[] {
  const next = after.services.find(({ listen }) => listen.includes(address));
  if (next === undefined || next.name === service.name) return [];
  return keyspaceRemaps(service, next, before, after).map((text) => {
    return `${address} led to service ${service.name}, and would lead to service ${next.name}: ${text}`;
  });
}

/** A node may move to another machine with its keys; not to where another node's keys are. */
function moveRemaps(pool: LayoutPool, before: Layout): string[] {
  const found: string[] = [];
  const old = nodesByName(before.pools.find(({ name }) => name === pool.name));
  const owners = before.pools.map((other) => {
    // Where several are at one address, the first is named.
    return { other, byAddress: new Map(other.nodes.map((node) => [node.address, node] as const).reverse()) };
  });
  for (const { name, address } of pool.nodes) {
    const own = old.get(name);
    if (own === undefined || own.address === address) continue;
    for (const { other, byAddress } of owners) {
      const owner = byAddress.get(address);
      if (owner === undefined) continue;
      const whose = other.name === pool.name ? `node ${owner.name}` : `node ${owner.name} of pool ${other.name}`;
      found.push(`pool ${pool.name}: node ${name} would be at ${address}, where the keys of ${whose} are`);
    }
  }
  return found;
}

/** Whether two pools are the same nodes under two names. */
function isSamePool(before: Layout, name: string, after: Layout, newName: string): boolean {
  const describe = ({ pools }: Layout, name: string) =>
    pools
      .find((pool) => pool.name === name)
      ?.nodes.map((node) => JSON.stringify([node.name, node.weight, node.address]))
      .sort()
      .join();
  return describe(before, name) === describe(after, newName);
}

function keyspaceRemaps(
  { keyspaces: before }: LayoutService,
  { keyspaces: after }: LayoutService,
  layoutBefore: Layout,
  layoutAfter: Layout,
): string[] {
  const found: string[] = [];
  const isElsewhere = (home: LayoutKeyspace, next: LayoutKeyspace) =>
    providerOf(home) !== 'store' &&
    providerOf(next) !== 'store' &&
    home.pool !== next.pool &&
    !isSamePool(layoutBefore, home.pool, layoutAfter, next.pool);
  for (const keyspace of after) {
    const home = narrowestKeyspace(before, keyspace.prefix);
    if (home === null) continue;
    const name = `keyspace "${keyspace.prefix}"`;
    if (home.mode !== keyspace.mode)
      found.push(`${name}: its keys had mode ${home.mode}, and would have ${keyspace.mode}`);
    else if (providerOf(home) !== providerOf(keyspace))
      found.push(
        `${name}: its locks were kept by provider ${providerOf(home)}, and would be by ${providerOf(keyspace)}`,
      );
    else if (copiesOf(home) !== copiesOf(keyspace))
      found.push(
        `${name}: its keys had ${countOf(copiesOf(home))}, and would have ${copiesOf(keyspace) ?? 'as many as nodes'}`,
      );
    else if (promiseOf(home) !== promiseOf(keyspace))
      found.push(
        `${name}: its keys had ${promiseOf(home)}, and would have ${promiseOf(keyspace)}: who goes by the other misses writes`,
      );
    if (isElsewhere(home, keyspace))
      found.push(`${name}: its keys are in pool ${home.pool}, and would be looked for in ${keyspace.pool}`);
    if (!isSameRule(home.placement, keyspace.placement))
      found.push(`${name}: its keys would be placed by other rules (placement, hash, hashTag or colocate)`);
  }
  for (const keyspace of before) {
    const name = `keyspace "${keyspace.prefix}"`;
    if (after.some(({ prefix }) => prefix === keyspace.prefix)) continue;
    const home = narrowestKeyspace(after, keyspace.prefix);
    if (home === null) found.push(`${name} is gone: its keys in pool ${keyspace.pool} would no longer be found`);
    else if (isElsewhere(keyspace, home))
      found.push(`${name} is gone: its keys are in pool ${keyspace.pool}, and would be looked for in ${home.pool}`);
    else if (
      !isSameRule(home.placement, keyspace.placement) ||
      home.mode !== keyspace.mode ||
      providerOf(home) !== providerOf(keyspace) ||
      copiesOf(home) !== copiesOf(keyspace) ||
      promiseOf(home) !== promiseOf(keyspace)
    )
      found.push(`${name} is gone: its keys would be placed by the rules of keyspace "${home.prefix}"`);
  }
  return found;
}

/** Null where its keys are no locks. */
function providerOf(keyspace: LayoutKeyspace): LockProvider | null {
  return keyspace.mode === 'lock' ? keyspace.provider : null;
}

/** Keys of mode sharded have one; null: one on each node of their pool. */
function copiesOf(keyspace: LayoutKeyspace): number | null {
  return keyspace.mode === 'sharded' ? 1 : keyspace.copies;
}

/** What is promised of its keys; null where they have one copy, or are locks. */
function promiseOf(keyspace: LayoutKeyspace): string | null {
  if (keyspace.mode !== 'replicated') return null;
  const { quorum, consistency = quorum === undefined ? 'strong' : 'quorum' } = keyspace;
  return describeLevel({ consistency, ...(quorum ?? strongLevel(keyspace.copies)) });
}

function countOf(copies: number | null): string {
  return copies === null ? 'as many copies as nodes' : `${copies} copies`;
}

function nodesByName(pool: LayoutPool | undefined): ReadonlyMap<string, LayoutNode> {
  return new Map((pool?.nodes ?? []).map((node) => [node.name, node]));
}

/** Slots follow the names and weights of a pool's nodes; addresses and passwords may change. */
function poolRemaps(before: LayoutPool, after: LayoutPool): string[] {
  const found: string[] = [];
  const [known, next] = [nodesByName(before), nodesByName(after)];
  for (const node of after.nodes) {
    const old = known.get(node.name);
    if (old === undefined)
      found.push(`pool ${after.name}: node ${node.name} is new, and would be given slots of the others`);
    else if (old.weight !== node.weight) {
      found.push(`pool ${after.name}: node ${node.name} has weight ${old.weight}, and would have ${node.weight}`);
    }
  }
  for (const node of before.nodes) {
    if (next.has(node.name)) continue;
    found.push(`pool ${after.name}: node ${node.name} is gone, and its slots would be given to the others`);
  }
  return found;
}

/** The keyspaces whose locks the store of the start cannot keep, which is the one that runs; each as a sentence. Not empty: nothing may be applied. */
export function planStoreLocks({ coordination, dataDir }: Config, after: Config): string[] {
  const trouble = storeLocksTrouble(coordination.store, dataDir !== null);
  if (trouble === null) return [];
  return after.services.flatMap(({ keyspaces }) =>
    keyspaces
      .filter((keyspace) => keyspace.mode === 'lock' && keyspace.provider === 'store')
      .map(
        ({ prefix }) => `keyspace "${prefix}": until the next start it goes on as it was started: provider ${trouble}`,
      ),
  );
}

/** What differs between the configuration of the start and a new one, and holds only after a restart, each as a sentence. */
export function planRestarts(before: Config, after: Config): string[] {
  const found: string[] = [];
  const say = (what: string, old: string, now: string) => {
    if (old !== now) found.push(`${what}: ${old} runs, ${now} takes a restart`);
  };
  say('workers', String(before.workers), String(after.workers));
  say('transport', before.transport, after.transport);
  say(
    'admin',
    before.admin === null ? 'none' : formatEndpoint(before.admin),
    after.admin === null ? 'none' : formatEndpoint(after.admin),
  );
  say('dataDir', before.dataDir ?? 'none', after.dataDir ?? 'none');
  say('log.format', before.log.format, after.log.format);
  const [old, now] = [describeCoordination(before), describeCoordination(after)];
  for (const key of Object.keys({ ...old, ...now })) {
    say(`coordination.${key}`, old[key] ?? 'none', now[key] ?? 'none');
  }
  if (passwordOf(before.coordination) !== passwordOf(after.coordination)) {
    found.push('coordination.password: that of the start is used, another one takes a restart');
  }
  return found;
}

/** Each setting in words, but for the password. */
function describeCoordination({ coordination, pools }: Config): Readonly<Record<string, string>> {
  const { store, cluster, member, leaseMs } = coordination;
  const common = { store, cluster, member: member ?? 'by address', lease: formatMilliseconds(leaseMs) };
  if (store === 'file') return common;
  if (store === 'redis') {
    const { nodes = [] } = pools.find(({ name }) => name === coordination.pool) ?? {};
    const at = nodes.map(({ name, address }) => `${name} at ${formatEndpoint(address)}`);
    return { ...common, pool: coordination.pool, nodes: at.sort().join(', ') };
  }
  const { endpoints, login, tls } = coordination;
  const texts = Object.entries(tls ?? {}).flatMap(([name, text]) => (text === null ? [] : [`${name} ${text}`]));
  const words = texts.length === 0 ? 'the system' : texts.join(', ');
  return {
    ...common,
    endpoints: endpoints.map(formatEndpoint).join(', '),
    username: login?.username ?? 'none',
    tls: tls === null ? 'none' : words,
  };
}

function passwordOf(coordination: Config['coordination']): string | undefined {
  return 'login' in coordination ? coordination.login?.password : undefined;
}
