/**
 * One io_uring: a ring of entries that the thread fills and the kernel takes, and a ring of completions the other way.
 *
 *   push() push() push() -> enter(): the kernel carries all of them out, waits, and puts completions into its ring
 *   select(index) -> result, flags, key, generation of one -> … -> release(): their places are free again
 *
 * Both lie in memory that is shared with the kernel. It reads entries only inside of io_uring_enter (there is no polling
 * thread of the kernel's), in this very thread, and writes completions there as well (DEFER_TASKRUN); but a worker thread of the
 * kernel's may post one of an operation that had to block. So the words by which the two tell each other how far they are, the tails
 * and heads, are read and written with Atomics: what stands before such a write is visible to whoever sees it, and nothing behind such
 * a read is read earlier. What they guard are ordinary words.
 */
import { readFileSync } from 'node:fs';
import type { Descriptors } from './descriptors.js';
import {
  EACCES,
  EAGAIN,
  EBUSY,
  EINTR,
  EINVAL,
  ENOSYS,
  EPERM,
  ETIME,
  MAP_POPULATE,
  MAP_SHARED,
  type MappedArena,
  PROT_READ_WRITE,
  type System,
  system,
  systemError,
} from './system.js';
import { RING_FAILED, TransportError } from './transport.js';
import {
  ENTER_EXT_ARG,
  ENTER_GETEVENTS,
  FEAT_CQE_SKIP,
  FEAT_EXT_ARG,
  FEAT_NODROP,
  FEAT_SINGLE_MMAP,
  OFFSET_ENTRIES,
  OFFSET_RINGS,
  OP_ASYNC_CANCEL,
  OP_POLL_ADD,
  OP_RECV,
  OP_SEND,
  OP_SENDMSG,
  REGISTER_PROBE,
  SETUP_CQSIZE,
  SETUP_DEFER_TASKRUN,
  SETUP_SINGLE_ISSUER,
  SETUP_SUBMIT_ALL,
  SQ_CQ_OVERFLOW,
  SQE_SKIP_SUCCESS,
} from './uring-numbers.js';

/** More are pushed by telling the kernel in between. Few, so that they stay in the processor's cache. */
const ENTRIES = 256;
const COMPLETIONS = 2_048;
/** As many as one call works out while no more are waited for (IO_LOCAL_TW_DEFAULT_MAX, since Linux 6.13). */
const WORKED_OUT_MAX = 20;
const ENTRY_BYTES = 64;
const ENTRY_WORDS_SHIFT = 4;
const COMPLETION_BYTES = 16;
/** Calls that take no entry, one after the other, before the kernel is taken to have no memory at all. */
const SUBMITS_MAX = 10_000;
/** How long the kernel may have no memory or no room, call after call, before the ring is given up: milliseconds. */
const REFUSED_MS_MAX = 5_000;

/** struct io_uring_params, in bytes: its length, its fields, and the offsets that the kernel fills in. */
const PARAMETERS = 120;
const P_COMPLETIONS = 4;
const P_FLAGS = 8;
const P_FEATURES = 20;
const P_SQ_TAIL = 44;
const P_SQ_FLAGS = 56;
const P_SQ_ARRAY = 64;
const P_CQ_HEAD = 80;
const P_CQ_TAIL = 84;
const P_CQ_CQES = 100;
/** struct io_uring_getevents_arg, then its struct __kernel_timespec. */
const WAIT_BYTES = 24;
const TIMESPEC_BYTES = 16;

const NEEDED_FEATURES: readonly [number, string][] = [
  [FEAT_SINGLE_MMAP, 'rings in one mapping'],
  [FEAT_NODROP, 'completions that are never dropped'],
  [FEAT_EXT_ARG, 'waiting with a time-out'],
  [FEAT_CQE_SKIP, 'completions that are only reported when they fail'],
];
const NEEDED_OPERATIONS: readonly [number, string][] = [
  [OP_POLL_ADD, 'POLL_ADD'],
  [OP_SENDMSG, 'SENDMSG'],
  [OP_ASYNC_CANCEL, 'ASYNC_CANCEL'],
  [OP_SEND, 'SEND'],
  [OP_RECV, 'RECV'],
];

export class Ring {
  readonly descriptor: number;
  /** Entries pushed so far, and how many of them the kernel has taken (counted modulo 2^32 as signed integers). */
  pushed = 0;
  taken = 0;

  private readonly calls: System;
  private readonly descriptors: Descriptors;
  private readonly worker: number;
  /** Both rings, and the entries that one of them lists. */
  private readonly words: Int32Array;
  private readonly entries: Int32Array;
  /** Indexes of words. */
  private readonly sqTail: number;
  private readonly sqFlags: number;
  private readonly cqHead: number;
  private readonly cqTail: number;
  private readonly completions: number;
  private readonly completionMask: number;
  private readonly entryMask: number;
  private head = 0;
  private tail = 0;
  /** Since when (performance.now) every call has been refused; 0 when the last one was not. */
  private refusedSinceMs = 0;
  /** Where io_uring_enter is told how long to wait, in words of the arena, and its address. */
  private readonly waitWords: Int32Array;
  private readonly waitAddress: number;

  /**
   * Throws a TransportError that says what is missing. The ring is noted as `worker`'s.
   */
  constructor(mapped: MappedArena, descriptors: Descriptors, worker: number) {
    const calls = system();
    this.calls = calls;
    this.descriptors = descriptors;
    this.worker = worker;
    const parameters = Buffer.alloc(PARAMETERS);
    this.descriptor = setUp(calls, parameters);
    descriptors.note(this.descriptor, worker);
    const field = (offset: number): number => parameters.readUInt32LE(offset);
    for (const [feature, name] of NEEDED_FEATURES) {
      if ((field(P_FEATURES) & feature) === 0) throw missing(name);
    }
    probe(calls, this.descriptor);

    const ringBytes = Math.max(field(P_SQ_ARRAY) + ENTRIES * 4, field(P_CQ_CQES) + COMPLETIONS * COMPLETION_BYTES);
    const entriesBytes = ENTRIES * ENTRY_BYTES;
    const rings = this.map(ringBytes, OFFSET_RINGS);
    const entries = this.map(entriesBytes, OFFSET_ENTRIES);
    descriptors.noteRing(worker, [this.descriptor, rings, ringBytes, entries, entriesBytes]);
    this.words = new Int32Array(calls.view(rings, ringBytes));
    this.entries = new Int32Array(calls.view(entries, entriesBytes));

    this.sqTail = field(P_SQ_TAIL) >> 2;
    this.sqFlags = field(P_SQ_FLAGS) >> 2;
    this.cqHead = field(P_CQ_HEAD) >> 2;
    this.cqTail = field(P_CQ_TAIL) >> 2;
    this.completions = field(P_CQ_CQES) >> 2;
    this.completionMask = COMPLETIONS - 1;
    this.entryMask = ENTRIES - 1;
    // Entry i stands in place i, always.
    for (let index = 0; index < ENTRIES; index++) this.words[(field(P_SQ_ARRAY) >> 2) + index] = index;

    const wait = mapped.arena.allocate(WAIT_BYTES + TIMESPEC_BYTES);
    this.waitWords = new Int32Array(mapped.arena.bytes.buffer, wait, (WAIT_BYTES + TIMESPEC_BYTES) >> 2).fill(0);
    this.waitAddress = mapped.address + wait;
    writeAddress(this.waitWords, 4, this.waitAddress + WAIT_BYTES);
  }

  /** The place of the next entry among all, for what belongs to it and must stay until the kernel has taken it. */
  get nextPlace(): number {
    if (((this.pushed - this.taken) | 0) === ENTRIES) this.submit();
    return this.pushed & this.entryMask;
  }

  /** How many places there are. */
  static readonly places = ENTRIES;

  /**
   * Pushes an entry, which is told to the kernel at the next `enter` (or before, where the ring is full). `address` and
   * `length` are what the operation takes, `options` its own flags; `key` and `generation` come back with its completions; where it takes a provided
   * buffer, it is one of `bufferGroup`.
   */
  push(
    operation: number,
    flags: number,
    priority: number,
    descriptor: number,
    address: number,
    length: number,
    options: number,
    key: number,
    generation: number,
    bufferGroup = 0,
  ): void {
    const words = this.entries;
    const entry = this.nextPlace << ENTRY_WORDS_SHIFT;
    words[entry] = operation | (flags << 8) | (priority << 16);
    words[entry + 1] = descriptor;
    // Words 2, 3 and from 11 on are 0 for all that is asked for here.
    writeAddress(words, entry + 4, address);
    words[entry + 6] = length;
    words[entry + 7] = options;
    words[entry + 8] = key;
    words[entry + 9] = generation;
    words[entry + 10] = bufferGroup;
    this.pushed = (this.pushed + 1) | 0;
  }

  /** Asks for the end of the operation with that key and generation. It has a completion of its own, as ever. */
  pushCancel(key: number, generation: number, ownKey: number): void {
    const entry = this.nextPlace << ENTRY_WORDS_SHIFT;
    this.push(OP_ASYNC_CANCEL, SQE_SKIP_SUCCESS, 0, -1, 0, 0, 0, ownKey, 0);
    this.entries[entry + 4] = key;
    this.entries[entry + 5] = generation;
  }

  /**
   * Tells the kernel of all entries, and waits until there is a completion, for at most `timeoutMs` (0: not at all).
   * Returns how many completions there are; those behind `release` only.
   */
  enter(timeoutMs: number): number {
    let flags = ENTER_GETEVENTS;
    let argument = 0;
    let argumentBytes = 0;
    if (timeoutMs > 0) {
      const seconds = Math.floor(timeoutMs / 1000);
      this.waitWords[6] = seconds;
      this.waitWords[8] = (timeoutMs - seconds * 1000) * 1_000_000;
      flags |= ENTER_EXT_ARG;
      argument = this.waitAddress;
      argumentBytes = WAIT_BYTES;
    }
    this.tell(timeoutMs > 0 ? 1 : 0, flags, argument, argumentBytes);
    this.head = this.words[this.cqHead] as number;
    this.tail = Atomics.load(this.words, this.cqTail);
    let count = (this.tail - this.head) | 0;
    // One connection that has had a whole batch is not to have all of the turn.
    for (
      let more = count;
      more >= WORKED_OUT_MAX && count < ENTRIES && !this.areOfOne(count - more, count - 1);
      count += more
    ) {
      this.tell(0, ENTER_GETEVENTS, 0, 0);
      const { tail } = this;
      this.tail = Atomics.load(this.words, this.cqTail);
      more = (this.tail - tail) | 0;
    }
    return count;
  }

  private areOfOne(first: number, last: number): boolean {
    return this.keyAt(this.at(first)) === this.keyAt(this.at(last));
  }

  /** True when completions wait in the kernel, because the ring was full: what is not seen may yet have failed. */
  hasOverflowed(): boolean {
    return (Atomics.load(this.words, this.sqFlags) & SQ_CQ_OVERFLOW) !== 0;
  }

  /** The word where completion `index` of the last `enter` begins, for the four questions below. */
  at(index: number): number {
    return this.completions + (((this.head + index) & this.completionMask) << 2);
  }

  keyAt(word: number): number {
    return this.words[word] as number;
  }

  generationAt(word: number): number {
    return this.words[word + 1] as number;
  }

  resultAt(word: number): number {
    return this.words[word + 2] as number;
  }

  flagsAt(word: number): number {
    return this.words[word + 3] as number;
  }

  /** All completions of the last `enter` are done with. */
  release(): void {
    Atomics.store(this.words, this.cqHead, this.tail);
  }

  /** Closes the ring: the kernel ends what is in flight. Nothing may be asked of it afterwards. */
  close(): void {
    this.descriptors.closeRing(this.worker);
  }

  /** Tells the kernel of all entries without waiting: there is no place left for another. */
  private submit(): void {
    for (let tries = 0; ((this.pushed - this.taken) | 0) === ENTRIES; tries++) {
      if (tries === SUBMITS_MAX) throw ringFailure('io_uring_enter', EAGAIN);
      this.tell(0, 0, 0, 0);
    }
  }

  private tell(completedMin: number, flags: number, argument: number, argumentBytes: number): void {
    Atomics.store(this.words, this.sqTail, this.pushed);
    const waiting = (this.pushed - this.taken) | 0;
    const { calls } = this;
    const taken = calls.uringEnter(this.descriptor, waiting, completedMin, flags, argument, argumentBytes);
    if (taken >= 0) {
      this.taken = (this.taken + taken) | 0;
      this.refusedSinceMs = 0;
      return;
    }
    const code = calls.errno();
    // Time is over, or a signal came: the next turn tries again.
    if (code === ETIME || code === EINTR) {
      this.refusedSinceMs = 0;
      return;
    }
    // So it does where the kernel has no memory or no room for completions just now.
    if ((code === EAGAIN || code === EBUSY) && !this.isRefusedForLong()) return;
    throw ringFailure('io_uring_enter', code);
  }

  private isRefusedForLong(): boolean {
    const nowMs = performance.now();
    if (this.refusedSinceMs === 0) this.refusedSinceMs = nowMs;
    return nowMs - this.refusedSinceMs > REFUSED_MS_MAX;
  }

  private map(bytes: number, what: number): number {
    const { calls, descriptor } = this;
    const address = calls.mmap(0, bytes, PROT_READ_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, what);
    if (typeof address !== 'number') throw systemError('mmap of io_uring', calls.errno());
    return address;
  }
}

/** Ends the worker whose ring it is; what comes in its place does without (control/workers.ts). */
export function ringFailure(what: string, code: number): TransportError {
  return new TransportError(RING_FAILED, systemError(what, code).message);
}

/** Writes an address as two words. */
export function writeAddress(words: Int32Array, word: number, address: number): void {
  // Assignment to a word takes the value modulo 2^32.
  words[word] = address;
  words[word + 1] = address / 2 ** 32;
}

/** Completions are worked out in io_uring_enter, all at once, and nothing interrupts the thread. */
function setUp(calls: System, parameters: Buffer): number {
  parameters.writeUInt32LE(COMPLETIONS, P_COMPLETIONS);
  parameters.writeUInt32LE(SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN, P_FLAGS);
  const descriptor = calls.uringSetup(ENTRIES, parameters);
  if (descriptor >= 0) return descriptor;
  const code = calls.errno();
  throw code === EINVAL ? missing('DEFER_TASKRUN') : setupError(code);
}

/** Throws where an operation is missing. */
function probe(calls: System, ring: number): void {
  const PROBED = 256;
  const answer = Buffer.alloc(16 + PROBED * 8);
  if (calls.uringRegister(ring, REGISTER_PROBE, answer, PROBED) < 0) throw missing('asking for operations');
  const supports = (operation: number): boolean => (answer.readUInt16LE(16 + operation * 8 + 2) & 1) === 1;
  for (const [operation, name] of NEEDED_OPERATIONS) if (!supports(operation)) throw missing(name);
}

function setupError(code: number): TransportError {
  const error = systemError('io_uring_setup', code);
  if (code === ENOSYS) return new TransportError(error.code, 'this kernel has no io_uring');
  if (code !== EPERM && code !== EACCES) return error;
  const reason =
    disabledByKernel() === '0'
      ? 'a seccomp profile or a security module forbids io_uring'
      : `the kernel forbids io_uring (sysctl kernel.io_uring_disabled is ${disabledByKernel()})`;
  return new TransportError(error.code, `${reason}; docs/OPERATIONS.md says how to allow it`);
}

/** 0: everybody may; 1: a group and the privileged; 2: nobody. Kernels before 6.6 do not have it. */
function disabledByKernel(): string {
  try {
    return readFileSync('/proc/sys/kernel/io_uring_disabled', 'latin1').trim();
  } catch {
    return '0';
  }
}

function missing(what: string): TransportError {
  return new TransportError(
    'ENOSYS',
    `this kernel's io_uring lacks ${what} (Linux 6.1 or later has all that is needed)`,
  );
}
