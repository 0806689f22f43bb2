/**
 * Scripts that clients have shown to this worker, or to another one: what is called by its SHA1 (EVALSHA) can be sent whole to a node that
 * lacks it. Those of each service are its own, as on a Redis of its own. Bounded: who was not called for longest is forgotten first.
 *
 * Workers hear of what others were shown, and have flushed, in any order and late: what was shown last before a flush is forgotten, and not
 * learned again; what was shown behind it stays. Moments are those of `commonMs`.
 */
import { createHash } from 'node:crypto';

export interface KnownScript {
  readonly service: number;
  readonly sha: string;
  /** A character a byte. */
  readonly source: string;
  /** When the other workers were told, in the transport's milliseconds. */
  toldMs: number;
  /** When a client has shown it last, as far as is known here. */
  shownMs: number;
}

/** What it takes to find one, beside its text, which is kept twice: about so many bytes. */
const ENTRY_BYTES = 400;

export class KnownScripts {
  private readonly limits: { scriptsBytesMax: number };
  private readonly counts: { scriptsForgotten: number };
  /** By service and SHA1; who was used last stands last. */
  private readonly bySha = new Map<string, KnownScript>();
  /** By service and source. */
  private readonly bySource = new Map<string, KnownScript>();
  /** By service: of its flushes the last, as far as is known here. */
  private readonly flushedMs = new Map<number, number>();
  private bytes = 0;

  constructor(limits: { scriptsBytesMax: number }, counts: { scriptsForgotten: number }) {
    this.limits = limits;
    this.counts = counts;
  }

  /** `source`: a character a byte. Null where it is too large to be remembered, or was flushed since. */
  learn(service: number, source: string, shownMs: number): KnownScript | null {
    const known = this.bySource.get(`${service} ${source}`);
    if (known !== undefined) {
      known.shownMs = Math.max(known.shownMs, shownMs);
      return known;
    }
    if (shownMs < (this.flushedMs.get(service) ?? Number.NEGATIVE_INFINITY)) return null;
    const max = this.limits.scriptsBytesMax;
    if (bytesOf(source) > max) return null;
    const sha = createHash('sha1').update(source, 'latin1').digest('hex');
    const learned = { service, sha, source, toldMs: Number.NEGATIVE_INFINITY, shownMs };
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

  has(service: number, source: string): boolean {
    return this.bySource.has(`${service} ${source}`);
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

  /** Its scripts were flushed at that moment. Returns those that were shown behind it: other workers, who were told of them before, may not know that. */
  forget(service: number, flushedMs: number): readonly KnownScript[] {
    this.flushedMs.set(service, Math.max(flushedMs, this.flushedMs.get(service) ?? flushedMs));
    const ours = [...this.bySha.values()].filter((known) => known.service === service);
    const kept = ours.filter(({ shownMs }) => shownMs >= flushedMs);
    for (const known of ours) if (known.shownMs < flushedMs) this.drop(known);
    return kept;
  }

  /** Nothing where it was dropped before. */
  drop({ service, sha, source }: KnownScript): void {
    if (!this.bySha.delete(`${service} ${sha}`)) return;
    this.bySource.delete(`${service} ${source}`);
    this.bytes -= bytesOf(source);
  }
}

function bytesOf(source: string): number {
  return 2 * source.length + ENTRY_BYTES;
}
