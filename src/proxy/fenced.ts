/**
 * RL.FENCED lock fence command …: carries the command out on the node of its keys, unless somebody with a larger fence of that lock has used
 * one of them (docs/LOCKS.md, "Writes that are fenced"). Which keys these are, and where, is found as for the command alone.
 */
import type { LaneChannel } from '../backend/lane.js';
import type { PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import { BEGIN_MS } from '../lock/ballots.js';
import { isBlockingForm, refusedForm } from '../resp/command-forms.js';
import { argumentIs } from '../resp/command-words.js';
import {
  arityFits,
  type CommandSpec,
  findCommand,
  findSubcommand,
  unknownCommandText,
  unknownSubcommandText,
  wrongArityText,
} from '../resp/commands.js';
import { bulkReply, errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import { SCRIPT_WORDS_MAX } from '../resp/script-words.js';
import type { Arena } from '../transport/arena.js';
import { type Carriage, carriageOf } from './fenced-commands.js';
import { FENCED_OPTIONS, FENCED_SCRIPT, FENCES_PREFIX } from './fenced-script.js';
import { type KeyLocator, ROUTES_WITH_KEYS } from './key-locator.js';
import { NAME_BYTES_MAX, NO_LOCK } from './lock-commands.js';
import type { MergePool } from './merge.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

export interface FencedContext {
  arena: Arena;
  reader: RequestReader;
  pendings: PendingPool;
  locator: KeyLocator;
  merges: MergePool;
  now: () => number;
  /** Milliseconds since 1970. */
  clock: () => number;
}

/** RL.FENCED, the lock, and the fence. */
export const WORDS_BEFORE_FENCED = 3;
const BAD_FENCE = errorReply('ERR the fence must be a whole number, as LOCK.ACQUIRE gave it');
/** A fence of Redis servers is about the time at which it was given. One that is too large shuts out all that are given for so long. */
const AHEAD_MS_MAX = 365 * 86_400_000;
const NEVER_GIVEN = errorReply(
  'ERR the fence is larger than any that can have been given: it would shut out all who have the lock after you',
);
const TOO_LARGE = errorReply(`ERR a command with RL.FENCED may have ${SCRIPT_WORDS_MAX} words`);
export const NO_ROOM = errorBytes('OVERLOADED', 'no buffer memory is left for this command; it was not sent');
const SCRIPT = Buffer.concat([bulkReply('EVAL'), bulkReply(FENCED_SCRIPT)]);
const COPY_OPTIONS_AT = 3;
/** EVAL, the script, and how many keys. */
const WORDS_OF_EVAL = 3;

export class Fenced {
  private readonly context: FencedContext;

  constructor(context: FencedContext) {
    this.context = context;
  }

  /** Carries out the command last read, which ends at `end` of the arena; `requestBytes` long. */
  carryOut(session: Session, service: Service, end: number, requestBytes: number): void {
    const { reader, arena } = this.context;
    const { argumentStart, argumentEnd } = reader;
    const [lockStart, lockEnd] = [argumentStart[1] as number, argumentEnd[1] as number];
    const refusal = refusalOfLock(service, arena.bytes, lockStart, lockEnd);
    const lock = this.text(1);
    const fence = this.text(2);
    // Those of the coordination store are its versions, which are no times.
    const isTime = service.lockSetsOf(arena.bytes, lockStart, lockEnd) !== null;
    const wrong = refusal ?? this.refusalOfFence(fence, isTime);
    if (wrong !== null) {
      session.reply(wrong);
      return;
    }
    const start = (argumentEnd[WORDS_BEFORE_FENCED - 1] as number) + 2;
    const count = reader.argumentCount - WORDS_BEFORE_FENCED;
    if (count > SCRIPT_WORDS_MAX) {
      session.reply(TOO_LARGE);
      return;
    }
    reader.skip(WORDS_BEFORE_FENCED);
    const spec = this.commandOf();
    const carriage = spec instanceof Uint8Array ? spec : this.carriage(session, spec);
    if (spec instanceof Uint8Array || carriage instanceof Uint8Array) {
      session.reply(carriage as Uint8Array);
      return;
    }
    const keys = this.keysOf(service, spec);
    if (keys instanceof Uint8Array) {
      session.reply(keys);
      return;
    }
    const { resp, hasNulls, wide } = carriage;
    const options = [lock, fence, String(resp), String(hasNulls ? count - 2 : 0), wide];
    const keyWords = [...keys.map((key) => FENCES_PREFIX + key), ...keys];
    const words = [String(keyWords.length), ...keyWords, ...options];
    const head = Buffer.concat([
      Buffer.from(`*${WORDS_OF_EVAL + keyWords.length + FENCED_OPTIONS + count}\r\n`),
      SCRIPT,
      ...words.map((word) => Buffer.from(`$${word.length}\r\n${word}\r\n`, 'latin1')),
    ]);
    const node = this.context.locator.owners[0] as number;
    this.send(session, node, spec, carriage, head, start, end, requestBytes);
  }

  private refusalOfFence(fence: string, isTime: boolean): Uint8Array | null {
    if (!WHOLE_NUMBER.test(fence) || Number(fence) > Number.MAX_SAFE_INTEGER) return BAD_FENCE;
    return isTime && Number(fence) > this.context.clock() - BEGIN_MS + AHEAD_MS_MAX ? NEVER_GIVEN : null;
  }

  /** The command within, which the reader shows by now, or what is wrong with it. */
  private commandOf(): CommandSpec | Uint8Array {
    const { arena, reader } = this.context;
    const { bytes } = arena;
    const { argumentStart, argumentEnd, argumentCount } = reader;
    const [start, end] = [argumentStart[0] as number, argumentEnd[0] as number];
    const outer = findCommand(bytes, start, end);
    if (outer === null) return errorReply(unknownCommandText(bytes, argumentStart, argumentEnd, argumentCount));
    let spec = outer;
    if (outer.subcommands !== null && argumentCount > 1) {
      const [from, to] = [argumentStart[1] as number, argumentEnd[1] as number];
      const found = findSubcommand(outer, bytes, from, to);
      if (found === null) return errorReply(unknownSubcommandText(outer, bytes, from, to));
      spec = found;
    }
    if (!arityFits(spec, argumentCount)) return errorReply(wrongArityText(spec));
    const refused = spec.refusable ? refusedForm(spec, bytes, argumentStart, argumentEnd, argumentCount) : null;
    return refused === null ? spec : errorReply(refused);
  }

  /** How its reply comes to the client, or why the command is not for RL.FENCED. */
  private carriage(session: Session, spec: CommandSpec): Carriage | Uint8Array {
    const { arena, reader } = this.context;
    const { argumentStart, argumentEnd, argumentCount } = reader;
    if (spec.route === 'reject') return errorReply(spec.reason);
    if (spec.group === 'scripting') return refuse(spec, 'it may write keys that it does not name');
    if (spec.keys === 'none' || !ROUTES_WITH_KEYS.has(spec.route) || spec.route === 'transaction')
      return refuse(spec, 'it is not about keys');
    if (isBlockingForm(spec, arena.bytes, argumentStart, argumentEnd, argumentCount))
      return refuse(spec, 'it would not wait: use a command that does not block');
    if (spec.name === 'copy' && this.namesDatabase())
      return refuse(spec, 'with DB it writes where no fence is looked at');
    const carriage = carriageOf(spec.name, argumentCount, session.protocol);
    return typeof carriage === 'string' ? refuse(spec, carriage) : carriage;
  }

  /** Of COPY source destination [DB database] [REPLACE]. */
  private namesDatabase(): boolean {
    const { arena, reader } = this.context;
    const { argumentStart, argumentEnd, argumentCount } = reader;
    for (let at = COPY_OPTIONS_AT; at < argumentCount; at++) {
      const [start, end] = [argumentStart[at] as number, argumentEnd[at] as number];
      if (argumentIs(arena.bytes, start, end, 'db')) return true;
    }
    return false;
  }

  /** Its keys, each once and a character a byte; or why it cannot be carried out. */
  private keysOf(service: Service, spec: CommandSpec): string[] | Uint8Array {
    const { locator, reader, arena } = this.context;
    const count = locator.locate(service, spec);
    if (count <= 0) return errorReply('ERR syntax error');
    const keys = new Set<string>();
    for (let index = 0; index < count; index++) {
      const argument = locator.keys.positions[index] as number;
      const [start, end] = [reader.argumentStart[argument] as number, reader.argumentEnd[argument] as number];
      if (service.lockSetsOf(arena.bytes, start, end) !== null) return refuse(spec, OF_LOCKS);
      if (service.copySetsOf(arena.bytes, start, end) !== null) return refuse(spec, OF_COPIES);
      keys.add(this.text(argument));
    }
    return locator.misplaced(service, count) ?? [...keys];
  }

  /** Sends `head`, and behind it arena bytes [start, end). */
  private send(
    session: Session,
    node: number,
    spec: CommandSpec,
    { policy }: Carriage,
    head: Uint8Array,
    start: number,
    end: number,
    requestBytes: number,
  ): void {
    const { arena, pendings, merges, locator, now } = this.context;
    const frameBytes = head.length + end - start;
    const block = arena.allocate(frameBytes);
    if (block < 0) {
      session.reply(NO_ROOM);
      return;
    }
    arena.bytes.set(head, block);
    arena.bytes.copyWithin(block + head.length, start, end);
    const channel = session.lane.channels[node] as LaneChannel;
    if (spec.write) session.noteWrite(node);
    if (policy === null) {
      const pending = pendings.take(session, now(), spec.write);
      session.track(pending, requestBytes);
      const refusal = channel.send(pending, block, block + frameBytes);
      if (refusal !== null) session.onFailure(pending, refusal);
    } else {
      const merge = merges.begin(session, policy, false, requestBytes, now());
      const part = merge.addPart(locator.nodeName(node), now(), spec.write);
      merge.sendPart(channel, part, block, block + frameBytes);
    }
    arena.settle();
    arena.release(block, frameBytes);
  }

  /** A character a byte. */
  private text(argument: number): string {
    const { arena, reader } = this.context;
    const { argumentStart, argumentEnd } = reader;
    return Buffer.from(arena.bytes.subarray(argumentStart[argument], argumentEnd[argument])).toString('latin1');
  }
}

const OF_LOCKS = 'locks have fences of their own';
const OF_COPIES = 'replicated keys are agreed upon one by one, and have no fences yet';

function refuse({ name }: CommandSpec, why: string): Uint8Array {
  return errorReply(`ERR RL.FENCED does not carry out ${name.toUpperCase().replace('|', ' ')} here: ${why}`);
}

/** Why bytes[start, end) is no lock, or null. A name that is mistyped would fence nothing. */
function refusalOfLock(service: Service, bytes: Uint8Array, start: number, end: number): Uint8Array | null {
  if (!service.isLock(bytes, start, end)) return NO_LOCK;
  return end - start > NAME_BYTES_MAX ? errorReply(`ERR the name of a lock may have ${NAME_BYTES_MAX} bytes`) : null;
}

/** As Redis writes integers. */
const WHOLE_NUMBER = /^(0|[1-9]\d{0,15})$/;
