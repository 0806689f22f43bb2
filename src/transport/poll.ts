/** One epoll descriptor and the block of arena memory where the kernel reports events. */
import type { Descriptors } from './descriptors.js';
import {
  EINTR,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  type MappedArena,
  type System,
  system,
  systemError,
} from './system.js';
import type { TransportError } from './transport.js';

const EVENTS_MAX = 512;

/**
 * Layout of struct epoll_event in 32-bit words. x86-64 packs it to 12 bytes (`EPOLL_PACKED` in the kernel's eventpoll.h),
 * all others align the 64-bit data to 16.
 */
export function eventLayout(arch: string): { words: number; eventsWord: number; dataWord: number } {
  return arch === 'x64' ? { words: 3, eventsWord: 0, dataWord: 1 } : { words: 4, eventsWord: 0, dataWord: 2 };
}

export class Poll {
  readonly descriptor: number;
  private readonly calls: System;
  private readonly words: Int32Array;
  /** Address of the events, and their index in `words`. One more event, for `control`, follows the last. */
  private readonly address: number;
  private readonly firstWord: number;
  private readonly eventWords: number;
  private readonly dataWord: number;

  /** Throws a TransportError when the kernel refuses. The descriptor is noted as `worker`'s. */
  constructor(mapped: MappedArena, descriptors: Descriptors, worker: number) {
    const layout = eventLayout(process.arch);
    this.calls = system();
    this.descriptor = this.calls.epollCreate(EPOLL_CLOEXEC);
    if (this.descriptor < 0) throw systemError('epoll_create1', this.calls.errno());
    descriptors.note(this.descriptor, worker);
    const offset = mapped.arena.allocate((EVENTS_MAX + 1) * layout.words * 4);
    this.words = new Int32Array(mapped.arena.bytes.buffer);
    this.address = mapped.address + offset;
    this.firstWord = (offset >> 2) + layout.eventsWord;
    this.eventWords = layout.words;
    this.dataWord = layout.dataWord - layout.eventsWord;
  }

  /** Waits up to `timeoutMs` (-1: for ever). Returns how many events came; 0 also when a signal ended the wait. */
  wait(timeoutMs: number): number {
    const count = this.calls.epollWait(this.descriptor, this.address, EVENTS_MAX, timeoutMs);
    if (count >= 0) return count;
    const code = this.calls.errno();
    if (code !== EINTR) throw systemError('epoll_wait', code);
    return 0;
  }

  /** EPOLLIN | EPOLLOUT | … of event `index` of the last wait. */
  eventsOf(index: number): number {
    return this.words[this.firstWord + index * this.eventWords] as number;
  }

  /** The descriptor of event `index` of the last wait. */
  descriptorOf(index: number): number {
    return this.words[this.firstWord + index * this.eventWords + this.dataWord] as number;
  }

  /** Null, or the reason why the kernel refuses: it limits what a user may watch (max_user_watches). */
  add(descriptor: number, events: number): TransportError | null {
    return this.control(EPOLL_CTL_ADD, descriptor, events);
  }

  modify(descriptor: number, events: number): void {
    const error = this.control(EPOLL_CTL_MOD, descriptor, events);
    if (error !== null) throw error;
  }

  remove(descriptor: number): void {
    const error = this.control(EPOLL_CTL_DEL, descriptor, 0);
    if (error !== null) throw error;
  }

  private control(operation: number, descriptor: number, events: number): TransportError | null {
    const word = this.firstWord + EVENTS_MAX * this.eventWords;
    this.words[word] = events;
    this.words[word + this.dataWord] = descriptor;
    const address = this.address + EVENTS_MAX * this.eventWords * 4;
    if (this.calls.epollControl(this.descriptor, operation, descriptor, address) === 0) return null;
    return systemError(`epoll_ctl of descriptor ${descriptor}`, this.calls.errno());
  }
}
