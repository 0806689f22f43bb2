/** What the data plane knows of one command: the types of THE command table (commands.ts). */
import type { Route } from './command-routes.js';

/** Redis's command flags, as bits of `CommandSpec.flags`. */
export const COMMAND_FLAG = {
  write: 1 << 0,
  readonly: 1 << 1,
  denyoom: 1 << 2,
  admin: 1 << 3,
  pubsub: 1 << 4,
  noscript: 1 << 5,
  blocking: 1 << 6,
  loading: 1 << 7,
  stale: 1 << 8,
  skip_monitor: 1 << 9,
  skip_slowlog: 1 << 10,
  asking: 1 << 11,
  fast: 1 << 12,
  no_auth: 1 << 13,
  no_mandatory_keys: 1 << 14,
  movablekeys: 1 << 15,
  allow_busy: 1 << 16,
  no_async_loading: 1 << 17,
  no_multi: 1 << 18,
} as const;

/** Where a command's keys begin: at an argument, or after a word that stands at or after `startFrom` (below 0: from the end). */
export type KeyBegin =
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'keyword'; readonly keyword: Uint8Array; readonly startFrom: number }
  | { readonly kind: 'unknown' };

/** How keys follow the begin: up to `last` (below 0: from the end; `limit` n: of the first n-th part), or as many as an argument says. */
export type KeyFind =
  | { readonly kind: 'range'; readonly last: number; readonly step: number; readonly limit: number }
  | { readonly kind: 'keynum'; readonly numIndex: number; readonly first: number; readonly step: number }
  | { readonly kind: 'unknown' };

/** One key specification, as https://redis.io/docs/reference/key-specs has it. */
export interface KeySpec {
  readonly begin: KeyBegin;
  readonly find: KeyFind;
  /** `RO`, `RW`, `OW`, `RM`, `access`, `update`, `insert`, `delete`, `not_key`, `incomplete`, `variable_flags`. */
  readonly flags: readonly string[];
}

export interface CommandSpec {
  /** Position in `COMMANDS`: for tables of counters and the like. Of what is not in it: NOT_IN_TABLE (node-command.ts). */
  readonly index: number;
  /** Lower case; `client|id` for a subcommand. */
  readonly name: string;
  /** Number of arguments with the name (and the subcommand's); negative: at least so many. */
  readonly arity: number;
  readonly flags: number;
  /** May change data, scripts included: must never be sent twice. */
  readonly write: boolean;
  readonly readonly: boolean;
  /** May block; XREAD and XREADGROUP only in their blocking form (`isBlockingForm`). */
  readonly blocking: boolean;
  /** Argument of the only key, where there is exactly one at a fixed place; 0 otherwise. The hot path. */
  readonly firstKey: number;
  /** `asked`: a node was asked which they are in this very command (`askedKeys`); only of what is not in the table (node-command.ts). */
  readonly keys: 'none' | 'single' | 'range' | 'computed' | 'asked';
  /** For `asked`: which arguments. */
  readonly askedKeys: readonly number[];
  /** For `range` (and `single`): every `keyStep`th argument from `rangeFirst` to `lastKey`, which below 0 counts from the end. */
  readonly rangeFirst: number;
  readonly lastKey: number;
  readonly keyStep: number;
  readonly keySpecs: readonly KeySpec[];
  /**
   * Whether it is carried out, too, where its keys lie on several shards, but for the one that it writes, if any: the others are
   * brought to one of them (proxy/gather.ts). A form that waits is not.
   */
  readonly gathers: boolean;
  /** Whether patterns among its arguments may name more keys (SORT): `readsOtherKeys` says so (command-forms.ts). */
  readonly hasPatterns: boolean;
  readonly route: Route;
  /** For `reject`: the error line for the client, without the leading minus. */
  readonly reason: string;
  /** What docs/COMMANDS.md says beside the route; empty for most. */
  readonly remark: string;
  /** Some forms of the command are refused: ask `refusedForm` (command-forms.ts) before routing; of DEBUG `debugRow`. */
  readonly refusable: boolean;
  /** Redis's tips, `multi_shard`, `agg_sum` …; null where it gives none. */
  readonly requestPolicy: string | null;
  readonly responsePolicy: string | null;
  /** ACL categories without the at sign. */
  readonly categories: readonly string[];
  readonly group: string;
  readonly since: string;
  /** By their own name (`id`), null for a command without any. */
  readonly subcommands: ReadonlyMap<string, CommandSpec> | null;
}
