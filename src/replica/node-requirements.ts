/**
 * What a Redis server must be like to hold replicated keys, decided purely: what it says of itself in, words out. Besides this it
 * must be a master without replicas, which M1 asks on every connection (member.ts).
 */
import type { NodeVerdict } from './admission.js';

/** What is asked of each node before it is admitted, and now and then. */
export interface NodeConditions {
  /** INFO's `redis_version`. */
  version: string;
  /** CONFIG's `maxmemory-policy`. */
  maxmemoryPolicy: string;
  /** Why its user may not do what is needed, in the node's own words; none where it may. */
  refusals: readonly string[];
}

/** Before, Redis has neither the flags of scripts (`#!lua`) nor ACL DRYRUN. */
const VERSION_MIN = [7, 0] as const;
/** Refusals that are shown; the others are counted. */
const REFUSALS_SHOWN = 3;

/** Why this server can hold no replicated keys, each as a sentence without its name; none: it can. */
export function nodeObstacles({ version, maxmemoryPolicy, refusals }: NodeConditions): string[] {
  const obstacles: string[] = [];
  if (!isRecent(version))
    obstacles.push(`it is Redis ${version}: replicated keys need ${VERSION_MIN.join('.')} or later`);
  if (maxmemoryPolicy !== 'noeviction') {
    obstacles.push(`its maxmemory-policy is ${maxmemoryPolicy}, not noeviction: keys would vanish without a ballot`);
  }
  if (refusals.length > 0) {
    const rest = refusals.length - REFUSALS_SHOWN;
    const shown = refusals.slice(0, REFUSALS_SHOWN).join('; ');
    obstacles.push(`its user may not do all that is needed: ${shown}${rest > 0 ? `; and ${rest} more` : ''}`);
  }
  return obstacles;
}

/** `verdict`, unless it would have a node with these obstacles become a member: they are to be removed before. */
export function fitVerdict(verdict: NodeVerdict, obstacles: readonly string[]): NodeVerdict {
  const becomesMember = verdict.kind === 'admit' || verdict.kind === 'stranger';
  return becomesMember && obstacles.length > 0 ? { kind: 'refused', reason: obstacles.join('; ') } : verdict;
}

/**
 * Of nodes with these versions, those to which DUMPs of others cannot be restored; null where any two can. A node that is behind
 * then stays so while only newer ones have what it lacks.
 */
export function mixedVersions(versions: readonly { name: string; version: string }[]): string | null {
  const series = new Map<string, string[]>();
  for (const { name, version } of versions) {
    const key = version.split('.').slice(0, 2).join('.');
    series.set(key, [...(series.get(key) ?? []), name]);
  }
  if (series.size < 2) return null;
  const shown = [...series].map(([version, names]) => `${version} (${names.join(', ')})`);
  return `Redis ${shown.join(' and ')}: what a newer one has stored may not be restored on an older one`;
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1]);
}
