/**
 * Commands whose keys lie on several shards, and that do nothing with them but read them, or write one of them: what they read elsewhere
 * is brought to one shard, where the command is carried out as on one Redis; or the reply is made here of what nodes answer (gather-steps.ts).
 *
 * It is no snapshot: each node's keys are as they were at one moment, and that of each node is another. The session's later commands
 * wait, so that they come after it.
 */
import type { PendingPool } from '../backend/pending.js';
import { isSameEndpoint } from '../base/endpoint.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot } from '../messages.js';
import { otherKeyPatterns } from '../resp/command-forms.js';
import type { CommandSpec } from '../resp/commands.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import { SCRIPT_WORDS_MAX } from '../resp/script-words.js';
import { slotOfPattern } from '../routing/pattern-slot.js';
import type { Arena } from '../transport/arena.js';
import type { BusyScripts } from './busy-scripts.js';
import { overloaded, tooManyKeys } from './gather-errors.js';
import type { GatherLimits } from './gather-room.js';
import { gatherSteps } from './gather-steps.js';
import type { KeyLocator } from './key-locator.js';
import { runSteps } from './node-steps.js';
import type { Pauses } from './pauses.js';
import { requestWords } from './request-words.js';
import type { ScriptCalls } from './script-calls.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

export interface GathersContext {
  arena: Arena;
  reader: RequestReader;
  pendings: PendingPool;
  locator: KeyLocator;
  scripts: ScriptCalls;
  busyScripts: BusyScripts;
  pauses: Pauses;
  /** Null where it is no more. */
  serviceOf: (session: Session) => Service | null;
  limits: Limits;
  counts: Counts;
  now: () => number;
}

const TOO_MANY_WORDS = errorReply(
  `ERR a command that writes what it reads on other shards may have ${SCRIPT_WORDS_MAX} words`,
);

const NONE: readonly number[] = [];

export class Gathers {
  private readonly context: GathersContext;
  private readonly held = { bytes: 0 };
  private readonly heap = { bytes: 0 };

  constructor(context: GathersContext) {
    this.context = context;
  }

  /** Bytes of the heap that gathers take. */
  get heapBytes(): number {
    return this.heap.bytes;
  }

  /**
   * Carries out the command last read, of that many bytes, whose `count` keys the locator has found. False: there is nothing to be
   * gathered.
   */
  carryOut(session: Session, service: Service, spec: CommandSpec, count: number, requestBytes: number): boolean {
    if (!spec.gathers || count <= 0) return false;
    const { arena, reader, locator, limits, counts, scripts, pauses, busyScripts, serviceOf } = this.context;
    const patterns = spec.hasPatterns ? this.patterns(service) : NONE;
    const isTogether = locator.firstElsewhere(count) === count;
    if (isTogether && patterns.every((at) => this.isOn(service, locator.owners[0] as number, at))) return false;
    const stray = locator.stray(service, count);
    if (stray !== null) {
      session.reply(stray);
      return true;
    }
    const isScript = spec.group === 'scripting';
    const words = scripts.wholeWords(session, spec, requestWords(reader, arena.bytes));
    const keys = this.keys(count, words);
    const written = spec.readonly ? -1 : writtenKey(spec, locator.keys.positions, count);
    const refusal = this.refusal(keys.size, written >= 0, words.length, limits);
    if (refusal !== null) {
      session.reply(refusal);
      return true;
    }
    const dest = written < 0 ? null : nameOf(words[locator.keys.positions[written] as number] as Uint8Array);
    const writtenOn = written < 0 ? -1 : (locator.owners[written] as number);
    if (writtenOn >= 0) session.noteWrite(writtenOn);
    const labels = new Map(service.nodes.map(({ index, label }) => [index, label]));
    const steps = gatherSteps(
      {
        limits,
        counts,
        protocol: session.protocol,
        isUserOfNodes: session.lane.identity !== null,
        held: this.held,
        placeOf: (key) => placeOf(service, key),
        labelOf: (node) => labels.get(node) ?? String(node),
        sharedWith: service.shared?.service ?? null,
        writeWait: () => pauses.writeWait(session.service),
        hasMoved: () => dest !== null && hasMoved(dest, service, serviceOf(session)),
      },
      { words, keys, writtenOn, patterns: patterns.map((at) => words[at] as Uint8Array), isScript },
    );
    runSteps(this.context, session, steps, requestBytes, {
      isWrite: written >= 0,
      readsValues: written < 0,
      heap: this.heap,
      busyScripts,
    });
    if (!session.isIdle) session.waitForReplies();
    return true;
  }

  /** Which arguments of the command last read are patterns that may name keys elsewhere, or keys that are not for clients. */
  private patterns({ nodes, hidesKeys }: Service): readonly number[] {
    if (nodes.length === 1 && !hidesKeys) return NONE;
    const { arena, reader } = this.context;
    return otherKeyPatterns(arena.bytes, reader.argumentStart, reader.argumentEnd, reader.argumentCount);
  }

  /** Whether all keys that the argument can name, a pattern, lie on that node: its hash tag says so. */
  private isOn(service: Service, node: number, argument: number): boolean {
    const { arena, reader } = this.context;
    const start = reader.argumentStart[argument] as number;
    const pattern = arena.bytes.subarray(start, reader.argumentEnd[argument]);
    const slot = slotOfPattern(pattern);
    return slot >= 0 && service.nodeOfSlot(slot) === node;
  }

  /** The node of each key; names have a character a byte. */
  private keys(count: number, words: readonly Uint8Array[]): Map<string, number> {
    const { keys, owners } = this.context.locator;
    const found = new Map<string, number>();
    for (let index = 0; index < count; index++) {
      found.set(nameOf(words[keys.positions[index] as number] as Uint8Array), owners[index] as number);
    }
    return found;
  }

  private refusal(keyCount: number, isWrite: boolean, wordCount: number, limits: GatherLimits): Uint8Array | null {
    if (keyCount > limits.gatherKeysMax) return overloaded(this.context.counts, tooManyKeys(limits.gatherKeysMax));
    return isWrite && wordCount > SCRIPT_WORDS_MAX ? TOO_MANY_WORDS : null;
  }
}

/** Which of the `count` keys the command writes, as its specifications say; -1: none. Of SORT and GEORADIUS it is the one behind STORE. */
function writtenKey({ keySpecs }: CommandSpec, positions: Int32Array, count: number): number {
  for (const { begin, flags } of keySpecs) {
    if (flags.includes('RO')) continue;
    if (begin.kind === 'index') return positions.subarray(0, count).indexOf(begin.index);
  }
  return count > 1 ? count - 1 : -1;
}

/** A character a byte. */
function nameOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1');
}

/** Whether the key lies on another node than before, as the service is now. */
function hasMoved(key: string, before: Service, now: Service | null): boolean {
  if (now === before) return false;
  if (now === null) return true;
  const bytes = Buffer.from(key, 'latin1');
  const [old, place] = [placeOf(before, bytes), placeOf(now, bytes)];
  if (old instanceof Uint8Array || place instanceof Uint8Array) return true;
  // Numbers are of one topology.
  const [was, is] = [nodeAt(before, old), nodeAt(now, place)];
  return was.pool !== is.pool || was.name !== is.name || !isSameEndpoint(was.address, is.address);
}

function nodeAt({ nodes }: Service, index: number): NodeSnapshot {
  return nodes.find((node) => node.index === index) as NodeSnapshot;
}

/** Where the key lies; or the error why a pattern may not name it. */
function placeOf(service: Service, bytes: Uint8Array): number | Uint8Array {
  const { length } = bytes;
  const node = service.nodeOf(bytes, 0, length);
  const isSharded = service.copySetsOf(bytes, 0, length) === null && !service.isLock(bytes, 0, length);
  if (node >= 0 && isSharded) return node;
  return errorReply('ERR a pattern of BY or GET names a key that no keyspace has, or one that is not sharded');
}
