/**
 * Scripts that clients have shown to this worker, or to another one: what is called by its SHA1 (EVALSHA) can be sent whole to a node that
 * lacks it. Those of each service are its own, as on a Redis of its own. Bounded: who was not called for longest is forgotten first.
 */
import { createHash } from 'node:crypto';

export interface KnownScript {
  readonly service: number;
  readonly sha: string;
  /** A character a byte. */
  readonly source: string;
  /** When the other workers were to be told, in the transport's milliseconds; before all time: no node has taken it yet. */
  toldMs: number;
}

/** When others were to be told of what no node has taken yet. */
const NOT_TAKEN_MS = Number.NEGATIVE_INFINITY;
/** What it takes to find one, beside its text, which is kept twice: about so many bytes. */
const ENTRY_BYTES = 400;

export class KnownScripts {
  private readonly limits: { scriptsBytesMax: number };
  private readonly counts: { scriptsForgotten: number };
  /** By service and SHA1; who was used last stands last. */
  private readonly bySha = new Map<string, KnownScript>();
  /** By service and source. */
  private readonly bySource = new Map<string, KnownScript>();
  private bytes = 0;

  constructor(limits: { scriptsBytesMax: number }, counts: { scriptsForgotten: number }) {
    this.limits = limits;
    this.counts = counts;
  }

  /** `source`: a character a byte. Null where it is too large to be remembered. */
  learn(service: number, source: string): KnownScript | null {
    const known = this.bySource.get(`${service} ${source}`);
    if (known !== undefined) return known;
    const max = this.limits.scriptsBytesMax;
    if (bytesOf(source) > max) return null;
    const sha = createHash('sha1').update(source, 'latin1').digest('hex');
    const learned = { service, sha, source, toldMs: NOT_TAKEN_MS };
    this.bySha.set(`${service} ${sha}`, learned);
    this.bySource.set(`${service} ${source}`, learned);
    this.bytes += bytesOf(source);
    for (const oldest of this.bySha.values()) {
      if (this.bytes <= max) break;
      this.drop(oldest);
      this.counts.scriptsForgotten++;
    }
    return learned;
  }

  /** `sha`: hexadecimal digits, in either case. */
  find(service: number, sha: string): KnownScript | null {
    const key = `${service} ${sha.toLowerCase()}`;
    const known = this.bySha.get(key);
    if (known === undefined) return null;
    this.bySha.delete(key);
    this.bySha.set(key, known);
    return known;
  }

  forget(service: number): void {
    for (const known of [...this.bySha.values()]) if (known.service === service) this.drop(known);
  }

  /** Nothing where it was dropped before. */
  drop({ service, sha, source }: KnownScript): void {
    if (!this.bySha.delete(`${service} ${sha}`)) return;
    this.bySource.delete(`${service} ${source}`);
    this.bytes -= bytesOf(source);
  }
}

/** Whether a node has taken it, as far as this worker knows. */
export function isTaken({ toldMs }: KnownScript): boolean {
  return toldMs !== NOT_TAKEN_MS;
}

function bytesOf(source: string): number {
  return 2 * source.length + ENTRY_BYTES;
}
