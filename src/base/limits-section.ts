/**
 * The section `limits` of the configuration, and that of the same name in a pool, which overrides it for the pool's nodes.
 *
 *   limits: { requestTimeoutMs: 2s, bulkBytesMax: 64mb }
 *   pools: { far: { nodes: […], limits: { connectTimeoutMs: 5s } } }
 */
import { z } from 'zod';
import { DEFAULT_LIMITS, type Limits, type NodeLimits, nodeLimitsOf } from './limits.js';
import { bytes, type Complain, expecting, milliseconds, wholeNumber } from './schema.js';
import type { Path } from './yaml-source.js';

const MEBI = 2 ** 20;
const GIBI = 2 ** 30;
const COUNT_MAX = 100_000_000;
const DAY_MS = 86_400_000;
const NEVER = ', 0 for never';
const FORM = 'a map of limits: { requestTimeoutMs: 5s }';

/** How each limit is written, and between which bounds it makes sense. */
const NODE_KEYS = {
  nodeQueueBytesMax: bytes(1, 2 * GIBI),
  nodeQueueCommandsMax: wholeNumber(1, COUNT_MAX),
  connectTimeoutMs: milliseconds(1, DAY_MS),
  queueTimeoutMs: milliseconds(1, DAY_MS),
  requestTimeoutMs: milliseconds(1, DAY_MS),
  stallTimeoutMs: milliseconds(1, DAY_MS),
  idlePingMs: milliseconds(1, DAY_MS),
  reconnectMinMs: milliseconds(1, DAY_MS),
  reconnectMaxMs: milliseconds(1, DAY_MS),
} satisfies Record<keyof NodeLimits, z.ZodType<number>>;

const KEYS = {
  clientsMax: wholeNumber(1, COUNT_MAX),
  // Redis takes no less either.
  bulkBytesMax: bytes(MEBI, GIBI),
  inlineBytesMax: bytes(64, MEBI),
  sessionCommandsMax: wholeNumber(1, COUNT_MAX),
  sessionRequestBytesMax: bytes(1, GIBI),
  sessionOutputSoftBytes: bytes(1, GIBI),
  sessionOutputHardBytes: bytes(1, 2 * GIBI),
  requestDeadlineMs: milliseconds(0, DAY_MS, NEVER),
  idleTimeoutMs: milliseconds(0, 365 * DAY_MS, NEVER),
  authDeadlineMs: milliseconds(0, DAY_MS, NEVER),
  ...NODE_KEYS,
  largeValueBytes: bytes(1, GIBI),
  workerMemoryMax: bytes(16 * MEBI, 2 * GIBI),
} satisfies Record<keyof Limits, z.ZodType<number>>;

export const LIMITS = z.strictObject(KEYS, expecting(FORM)).partial();
export const NODE_LIMITS_SECTION = z.strictObject(NODE_KEYS, expecting(FORM)).partial();

export type LimitsSection = z.infer<typeof LIMITS>;
export type NodeLimitsSection = z.infer<typeof NODE_LIMITS_SECTION>;

export function completeLimits(limits: LimitsSection | undefined): Limits {
  return { ...DEFAULT_LIMITS, ...given(limits) };
}

/** Those of a pool's nodes: its own, and where it has none those of the file. */
export function completeNodeLimits(own: NodeLimitsSection | undefined, limits: Limits): NodeLimits {
  return { ...nodeLimitsOf(limits), ...given(own) };
}

/** Of each pair the first must not be above the second. */
const ORDERED = [
  ['sessionOutputSoftBytes', 'sessionOutputHardBytes'],
  ['requestTimeoutMs', 'stallTimeoutMs'],
  ['reconnectMinMs', 'reconnectMaxMs'],
] as const satisfies readonly [keyof Limits, keyof Limits][];

export function checkLimits(section: LimitsSection | undefined, complain: Complain): void {
  checkOrder(['limits'], section ?? {}, completeLimits(section), () => 'by default', complain);
}

/** `section` is that of a pool; `limits` are the file's. What is wrong with those is not said here. */
export function checkNodeLimits(
  pool: string,
  section: NodeLimitsSection | undefined,
  limits: LimitsSection | undefined,
  complain: Complain,
): void {
  const source = (name: keyof Limits) => (limits?.[name] === undefined ? 'by default' : 'in limits');
  const all = { ...completeLimits(limits), ...given(section) };
  checkOrder(['pools', pool, 'limits'], section ?? {}, all, source, complain);
}

/** `source` says where a limit comes from that is not `written` at `path`. */
function checkOrder(
  path: Path,
  written: LimitsSection,
  all: Limits,
  source: (name: keyof Limits) => string,
  complain: Complain,
): void {
  const show = (name: keyof Limits) => {
    return written[name] === undefined ? `${name} (${all[name]} ${source(name)})` : `${name} (${all[name]})`;
  };
  for (const [low, high] of ORDERED) {
    if (all[low] <= all[high]) continue;
    if (written[low] !== undefined) complain([...path, low], `: is above ${show(high)}`);
    else if (written[high] !== undefined) complain([...path, high], `: is below ${show(low)}`);
  }
}

function given<T extends object>(section: T | undefined): { [K in keyof T]: NonNullable<T[K]> } {
  const entries = Object.entries(section ?? {}).filter(([, limit]) => limit !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: NonNullable<T[K]> };
}
