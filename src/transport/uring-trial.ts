/**
 * Whether this system has an io_uring that does all that the driver relies on. Not by the kernel's version, which
 * distributions and sandboxes make little of: a small ring is opened, and carries out one of each.
 */
import { createDescriptors, Descriptors } from './descriptors.js';
import { CLIENT_BUFFERS, NODE_BUFFERS, ProvidedBuffers } from './provided-buffers.js';
import { Ring } from './ring.js';
import {
  AF_UNIX,
  ECANCELED,
  EPOLLIN,
  type MappedArena,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  mapArena,
  openWake,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  system,
  systemError,
  wake,
} from './system.js';
import { TransportError } from './transport.js';
import { CANCEL, keyOf, kindOf, RECEIVE, SEND, WATCH } from './uring-keys.js';
import {
  CQE_BUFFER,
  CQE_MORE,
  OP_POLL_ADD,
  OP_RECV,
  OP_SEND,
  RECV_MULTISHOT,
  SQE_BUFFER_SELECT,
  SQE_SKIP_SUCCESS,
} from './uring-numbers.js';

const ARENA_BYTES = 64 * 1024 * 1024;
/** More than a socket takes at once. */
const TOO_MUCH = 32 * 1024 * 1024;
const WAIT_MS = 1_000;
const SEND_FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;

interface Completion {
  kind: number;
  result: number;
  flags: number;
}

/** Throws a TransportError that says what is missing. */
export function tryRing(): void {
  const calls = system();
  const descriptors = new Descriptors(createDescriptors(1));
  const mapped = mapArena(ARENA_BYTES);
  const opened: number[] = [];
  try {
    const ring = new Ring(mapped, descriptors, 0);
    new ProvidedBuffers(mapped, ring, CLIENT_BUFFERS);
    new ProvidedBuffers(mapped, ring, NODE_BUFFERS);
    const eventDescriptor = openWake();
    opened.push(eventDescriptor);
    const pair = Buffer.alloc(8);
    if (calls.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
      throw systemError('socketpair', calls.errno());
    }
    const [near, far] = [pair.readInt32LE(0), pair.readInt32LE(4)];
    opened.push(near, far);
    tryPolling(ring, eventDescriptor);
    tryReceiving(ring, mapped, near, far);
    trySendingTooMuch(ring, mapped, near);
  } finally {
    descriptors.closeAll(0);
    for (const descriptor of opened) calls.close(descriptor);
  }
}

/** libuv's descriptor and an eventfd can be polled. */
function tryPolling(ring: Ring, eventDescriptor: number): void {
  const nodeLoop = system().nodeLoop();
  if (nodeLoop !== null) {
    ring.push(OP_POLL_ADD, 0, 0, nodeLoop.descriptor, 0, 0, EPOLLIN, keyOf(1, WATCH), 0);
    ring.pushCancel(keyOf(1, WATCH), 0, keyOf(0, CANCEL));
    // Readable already, or ended: but not refused.
    const [{ result }] = take(ring, 1) as [Completion];
    expect(result > 0 || result === -ECANCELED, "polling of libuv's descriptor", result);
  }
  ring.push(OP_POLL_ADD, 0, 0, eventDescriptor, 0, 0, EPOLLIN, keyOf(2, WATCH), 0);
  take(ring, 0);
  wake(eventDescriptor);
  const [{ result }] = take(ring, 1) as [Completion];
  expect((result & EPOLLIN) !== 0, 'polling of an eventfd', result);
}

/** A send that goes wholly is not told of; what it sent comes in a provided buffer, and the receive can be ended. */
function tryReceiving(ring: Ring, { arena, address }: MappedArena, near: number, far: number): void {
  const word = arena.allocate(64);
  ring.push(OP_RECV, SQE_BUFFER_SELECT, RECV_MULTISHOT, far, 0, 0, 0, keyOf(3, RECEIVE), 0);
  ring.push(OP_SEND, SQE_SKIP_SUCCESS, 0, near, address + word, 5, SEND_FLAGS, keyOf(3, SEND), 0);
  const [{ kind, result, flags }] = take(ring, 1) as [Completion];
  expect(kind === RECEIVE && result === 5 && (flags & CQE_BUFFER) !== 0, 'receiving into provided buffers', result);
  expect((flags & CQE_MORE) !== 0, 'receives that go on', result);
  ring.pushCancel(keyOf(3, RECEIVE), 0, keyOf(0, CANCEL));
  const [last] = take(ring, 1) as [Completion];
  expect(last.kind === RECEIVE && last.result === -ECANCELED, 'ending of receives', last.result);
}

/** A send that does not go wholly is told of, with how much of it went, before io_uring_enter returns (Linux 6.1). */
function trySendingTooMuch(ring: Ring, { arena, address }: MappedArena, near: number): void {
  const block = arena.allocate(TOO_MUCH);
  ring.push(OP_SEND, SQE_SKIP_SUCCESS, 0, near, address + block, TOO_MUCH, SEND_FLAGS, keyOf(4, SEND), 0);
  const [completion] = take(ring, 0);
  const { kind, result } = completion ?? { kind: CANCEL, result: 0 };
  expect(kind === SEND && result > 0 && result < TOO_MUCH, 'sends that do not wait', result);
}

/** Tells the kernel of all that was pushed. Waits for `count` completions, and returns those that there are. */
function take(ring: Ring, count: number): Completion[] {
  const completions: Completion[] = [];
  const endMs = performance.now() + WAIT_MS;
  do {
    const waiting = ring.enter(completions.length < count ? WAIT_MS : 0);
    for (let index = 0; index < waiting; index++) {
      const word = ring.at(index);
      const kind = kindOf(ring.keyAt(word));
      if (kind !== CANCEL) completions.push({ kind, result: ring.resultAt(word), flags: ring.flagsAt(word) });
    }
    ring.release();
  } while (completions.length < count && performance.now() < endMs);
  if (completions.length < count) throw new TransportError('ENOSYS', "this kernel's io_uring does not answer");
  return completions;
}

function expect(holds: boolean, what: string, result: number): void {
  if (!holds) throw new TransportError('ENOSYS', `this kernel's io_uring lacks ${what} (it says ${result})`);
}
