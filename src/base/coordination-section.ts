/**
 * The section `coordination` of the configuration: where a fleet keeps what it agrees on, and what this process is called in it.
 *
 *   coordination: { store: redis, pool: main }
 *   coordination: { store: etcd, endpoints: ["https://10.0.0.1:2379"], username: fleet, password: "…", tls: { ca: /etc/ca.pem } }
 *   coordination: { store: zookeeper, endpoints: ["10.0.0.1:2181"], cluster: eu, member: a, lease: 5s }
 */
import { z } from 'zod';
import { PASSWORD_CHARACTERS_MAX } from './client-rules.js';
import { type Endpoint, formatEndpoint, type TcpEndpoint } from './endpoint.js';
import { LEASE_MS_MAX, LEASE_MS_MIN } from './lease-length.js';
import type { PoolsSection } from './pools-section.js';
import {
  about,
  type Complain,
  expecting,
  type Fault,
  milliseconds,
  nameText,
  oneOfWords,
  text,
  value,
} from './schema.js';
import { checkEndpoints, ENDPOINTS, ENDPOINTS_FORM, type ServerStore } from './store-endpoint.js';
import { checkTls, completeTls, TLS, type TlsConfig } from './tls-section.js';
import { formatMilliseconds } from './units.js';
import type { Path } from './yaml-source.js';

export type CoordinationConfig = StoreConfig & {
  /** What all that is stored for the fleet begins with. */
  cluster: string;
  /** What this process is called; null: by where clients find it (control/member-name.ts). */
  member: string | null;
  /** Of a member, and of the leader. */
  leaseMs: number;
};

/** Where it is stored, and how that is reached. */
export type StoreConfig =
  /** For one process: in the dataDir, or without one in memory. */
  | { store: 'file' }
  | { store: 'redis'; pool: string }
  | {
      store: ServerStore;
      /** At least one. */
      endpoints: readonly TcpEndpoint[];
      login: { username: string; password: string } | null;
      tls: TlsConfig | null;
    };

const CLUSTER_DEFAULT = 'ringleader';
/**
 * Its renewal is tried for two thirds of it: longer than etcd and ZooKeeper take to elect a leader (one to a few seconds), and to collect
 * garbage. A fleet waits for who is gone that long.
 */
const LEASE_MS = 10_000;
const POOL_NODES_MIN = 3;

const FORM = 'a map: { store: etcd, endpoints: ["http://10.0.0.1:2379"] }';

const STORE = oneOfWords(['file', 'redis', 'etcd', 'zookeeper'], {
  memory: 'file',
  none: 'file',
  local: 'file',
  pool: 'redis',
  zk: 'zookeeper',
});

/** What keys of the map are for, by the store that they are for. */
const KEYS_OF = {
  pool: ['redis'],
  endpoints: ['etcd', 'zookeeper'],
  username: ['etcd', 'zookeeper'],
  password: ['etcd', 'zookeeper'],
  tls: ['etcd', 'zookeeper'],
} as const;

export const COORDINATION = z.strictObject(
  {
    store: about(
      STORE.default('file'),
      'Where it is kept. `file`: in dataDir, or without one in memory, for one process alone. `redis`: on a pool of plain Redis servers, by ' +
        'their majority. `etcd` and `zookeeper`: there. A fleet has one store, the same for all its members.',
      { stated: 'file' },
    ),
    cluster: about(
      nameText(
        'a name of 1 to 64 letters, digits and . _ -, the first of them a letter or a digit',
        (name) => (/^[a-zA-Z0-9][\w.-]{0,63}$/.test(name) ? name : null),
        '^[a-zA-Z0-9][\\w.-]{0,63}$',
      ).default(CLUSTER_DEFAULT),
      'The name of the fleet, so that several can share a store: the same for all its members. All that is stored lies below `ringleader/` ' +
        'and it.',
      { stated: CLUSTER_DEFAULT },
    ),
    member: about(
      nameText(
        'a name of 1 to 128 ASCII characters, none of them a space or a slash',
        (name) => (/^(?!\.{1,2}$)[!-.0-~]{1,128}$/.test(name) ? name : null),
        '^[!-.0-~]{1,128}$',
      ).optional(),
      'What this process is called in the fleet: no other member has the name. Unless given, the address and port of its first listener, ' +
        'with the name of the machine where that address is not its own alone (127.0.0.1, 0.0.0.0, a unix socket).',
      { example: 'a' },
    ),
    lease: about(
      milliseconds(LEASE_MS_MIN, LEASE_MS_MAX).default(LEASE_MS),
      'How long the fleet waits for a member that says nothing, as one that was killed does. Each member writes to the store every quarter ' +
        'to third of it, and loses its place when the store is away for two thirds.',
      { stated: formatMilliseconds(LEASE_MS) },
    ),
    pool: about(
      nameText('the name of a pool', (name) => name).optional(),
      'For store redis: the pool, of at least 3 nodes. They have nothing else, unless it is keys of mode replicated, or locks.',
      { example: 'accounts' },
    ),
    endpoints: about(
      ENDPOINTS.optional(),
      'For stores etcd and zookeeper: the servers that clients of the store connect to. One at a time is used; name all.',
      {
        example: '["https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"]',
        expected: ENDPOINTS_FORM,
      },
    ),
    username: about(
      text<string>(
        'a user name of 1 to 64 visible ASCII characters',
        (name) => (/^[!-~]{1,64}$/.test(name) ? name : { fault: 'another text' }),
        '^[!-~]{1,64}$',
      ).optional(),
      'The user of etcd that may read and write all below `/ringleader/CLUSTER/`; or for ZooKeeper (digest), to whom alone all belongs that is made.',
      { example: 'fleet' },
    ),
    password: about(
      value('a password in quotes', password, {
        type: 'string',
        minLength: 1,
        maxLength: PASSWORD_CHARACTERS_MAX,
      }).optional(),
      "The user's password. Write `${NAME}` to take it from the environment.",
      { example: '"${STORE_PASSWORD:-change-me}"' },
    ),
    tls: about(
      TLS.optional(),
      'For store etcd with https://, and for store zookeeper whose port speaks TLS: how the server and this process show each other who they are.',
    ),
  },
  expecting(FORM),
);

export type CoordinationSection = z.infer<typeof COORDINATION>;

export function completeCoordination(section: CoordinationSection | undefined): CoordinationConfig {
  const { cluster, member, lease, ...rest } = section ?? COORDINATION.parse({});
  return { ...completeStore(rest), cluster, member: member ?? null, leaseMs: lease };
}

/** What the cross-checks of a section go by besides it. */
export interface CoordinationPlace {
  /** Those that are right in themselves. */
  pools: PoolsSection;
  /** Of all. */
  poolNames: readonly string[];
  /** The first, where clients come in. */
  listen: Endpoint | undefined;
  /** See `checkTls`. */
  readFile: ((path: string) => string) | undefined;
}

/** What of a section does not go together, or leads nowhere. */
export function checkCoordination(section: CoordinationSection, place: CoordinationPlace, complain: Complain): void {
  const at = (...path: Path) => ['coordination', ...path];
  const { store, endpoints, username, password, tls } = section;
  for (const [key, stores] of Object.entries(KEYS_OF) as [keyof typeof KEYS_OF, readonly string[]][]) {
    if (section[key] === undefined || stores.includes(store)) continue;
    complain(at(key), `: is for store ${stores.join(' or ')}, not for ${store}${ADVICE[key]?.[store] ?? ''}`);
  }
  if (store === 'file') return;
  const { listen } = place;
  if (section.member === undefined && listen?.kind === 'tcp' && listen.port === 0) {
    complain(
      at(),
      `: member is missing: its default is where clients come in, and the system chooses the port of ${formatEndpoint(listen)}`,
    );
  }
  if (store === 'redis') {
    checkPool(section.pool, place, complain);
    return;
  }
  if (endpoints === undefined) complain(at(), `: endpoints is missing: expected ${ENDPOINTS_FORM}`);
  else checkEndpoints(store, endpoints, tls !== undefined, complain);
  if (username !== undefined && password === undefined) complain(at('username'), ': needs a password, too');
  if (password !== undefined && username === undefined) complain(at('password'), ': needs a username, too');
  if (store === 'zookeeper' && username?.includes(':') === true) {
    complain(at('username'), ': has a colon, which ends the name for zookeeper');
  }
  if (tls !== undefined) checkTls(at('tls'), tls, place.readFile, complain);
}

/** What of a section that is good may not have been meant. */
export function warnOfCoordination(section: CoordinationSection, hasDataDir: boolean, warn: Complain): void {
  if (section.store !== 'file' || hasDataDir) return;
  warn(
    ['coordination'],
    ': store file without dataDir is in memory: a restart begins anew; add dataDir: /var/lib/ringleader',
  );
}

/** What to do instead, by the key and the store that it stands with. */
const ADVICE: Partial<Record<keyof typeof KEYS_OF, Partial<Record<CoordinationSection['store'], string>>>> = {
  endpoints: {
    file: '; write store: etcd or store: zookeeper',
    redis: ': its nodes stand in the pool; write pool: NAME',
  },
  pool: { file: '; write store: redis' },
  username: { redis: ': it stands in the url of each node of the pool' },
  password: { redis: ': it stands in the url of each node of the pool' },
};

function completeStore(section: Omit<CoordinationSection, 'cluster' | 'member' | 'lease'>): StoreConfig {
  const { store, pool = '', endpoints = [], username, password, tls } = section;
  if (store === 'file') return { store };
  if (store === 'redis') return { store, pool };
  const isTls = tls !== undefined || endpoints.some(({ scheme }) => scheme === 'https');
  return {
    store,
    endpoints: endpoints.map(({ at }) => at[store]),
    login: username === undefined || password === undefined ? null : { username, password },
    tls: isTls ? completeTls(tls ?? {}) : null,
  };
}

function checkPool(pool: string | undefined, { pools, poolNames }: CoordinationPlace, complain: Complain): void {
  if (pool === undefined) {
    complain(['coordination'], `: pool is missing: expected one of ${poolNames.join(', ')}`);
    return;
  }
  if (!poolNames.includes(pool)) {
    complain(['coordination', 'pool'], `: there is no pool of the name ${pool}; there are ${poolNames.join(', ')}`);
    return;
  }
  const nodes = pools[pool]?.nodes.length;
  if (nodes === undefined || nodes === 0 || nodes >= POOL_NODES_MIN) return;
  complain(
    ['coordination', 'pool'],
    `: a majority takes at least ${POOL_NODES_MIN} nodes, and pool ${pool} has ${nodes}`,
  );
}

function password(input: unknown): string | Fault {
  if (typeof input !== 'string') {
    return { fault: input === null || input === undefined ? 'nothing' : 'no text', advice: 'put it in quotes' };
  }
  if (input === '') return { fault: 'an empty password' };
  if (input.length > PASSWORD_CHARACTERS_MAX)
    return { fault: `one of more than ${PASSWORD_CHARACTERS_MAX} characters` };
  return input;
}
