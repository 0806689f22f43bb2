/**
 * One socket of the io_uring driver. Its states are those of socket-connection.ts.
 *
 * Receiving: one operation goes on for as long as the owner wants bytes; each completion has a buffer that the kernel chose
 * among those it was lent. While what is unread is large the kernel only tells that there is more, and `recv` puts it
 * behind the rest. A pause costs nothing until bytes come; these are kept, and the operation is ended.
 *
 * Sending: MSG_DONTWAIT has the kernel carry it out inside of io_uring_enter or not at all, so that no memory is in the
 * kernel's hands between turns; MSG_WAITALL has a part of it count as a failure; and successes are not reported. So a send
 * without a completion is wholly done when the call has returned, and one with a completion has said how much of it is.
 *
 *   pushed (isSending) -> enter -> [noteSend: not wholly] -> concludeSend
 *
 * Closing: the owner is told in the turn's end, as with every driver. The descriptor and the place stay until the last
 * operation on it has ended: a socket with an operation in flight is not closed by close(), and a late completion would reach
 * the place's next connection. (The generation would turn that one away.)
 */
import type { Endpoint } from '../base/endpoint.js';
import { type BufferGroup, CLIENT_BUFFERS, NODE_BUFFERS } from './provided-buffers.js';
import type { Ring } from './ring.js';
import type { SendMessages } from './send-messages.js';
import {
  CLOSED,
  CONNECTING,
  DRAINING,
  LINGERING,
  noMemory,
  OPEN,
  SocketConnection,
  type SocketHost,
} from './socket-connection.js';
import {
  EAGAIN,
  ECANCELED,
  EINTR,
  ENOBUFS,
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  systemError,
} from './system.js';
import type { Connection, ConnectionOwner, ConnectOptions } from './transport.js';
import { CANCEL, CONNECTION_KINDS, FAILED, keyOf, READABLE, RECEIVE, SEND, WRITABLE } from './uring-keys.js';
import {
  CQE_MORE,
  OP_POLL_ADD,
  OP_RECV,
  OP_SEND,
  OP_SENDMSG,
  RECV_MULTISHOT,
  SQE_BUFFER_SELECT,
  SQE_SKIP_SUCCESS,
} from './uring-numbers.js';

/** What the driver has for all its connections. */
export interface UringHost extends SocketHost<UringConnection> {
  readonly ring: Ring;
  readonly messages: SendMessages;
  /** Set when something follows from how a send went, so that it is to be known at once. */
  hurries: boolean;
  /** Gives the connection a place; its completions reach it there until it is retired. */
  enroll(connection: UringConnection): void;
  retire(connection: UringConnection): void;
  /** Its send was pushed: `concludeSend` follows when it is known how it went. */
  awaitSent(connection: UringConnection): void;
  /** There was no buffer: `feed` follows when there are some again. `hadSome`: in this turn it had one before. */
  starve(connection: UringConnection, hadSome: boolean): void;
  /** Turns taken so far. */
  readonly turns: number;
}

const SEND_FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
/** IORING_POLL_ADD_MULTI: it goes on, and tells once of each change. */
const POLL_MULTI = 1;

export class UringConnection extends SocketConnection {
  /** Where its completions find it, and which connection of that place it is: the driver's to set. */
  place = -1;
  generation = 0;
  /** Which entry of all its last send was. */
  sendEntry = 0;
  /** What it receives into. */
  readonly bufferGroup: BufferGroup;
  private readonly driver: UringHost;
  /** Kinds of operations in flight, and of those that were asked to end: a bit each. */
  private inFlight = 0;
  private ending = 0;
  private isSending = false;
  private sendLength = 0;
  /** How much of it the kernel took (all, unless a completion says otherwise), or minus an error number. */
  private sendResult = 0;
  /** Some of what is being sent had to wait: the owner is told when all is sent. */
  private wasBlocked = false;
  /** Among those of the driver that wait for a buffer. */
  private isStarving = false;
  /** The turn in which it had one last. */
  private fedTurn = -1;
  /** The owner knows that it is closed; the descriptor waits for the last completion. */
  private isTold = false;

  private constructor(
    driver: UringHost,
    descriptor: number,
    endpoint: Endpoint | null,
    retaining: boolean,
    owner: ConnectionOwner | ((connection: Connection) => ConnectionOwner),
  ) {
    super(driver, descriptor, endpoint, retaining, owner);
    this.driver = driver;
    this.bufferGroup = endpoint === null ? CLIENT_BUFFERS : NODE_BUFFERS;
  }

  /** Takes over an accepted `descriptor`, which is noted and counted already. */
  static accept(driver: UringHost, descriptor: number, findOwner: (connection: Connection) => ConnectionOwner): void {
    const connection = new UringConnection(driver, descriptor, null, false, findOwner);
    connection.route();
    connection.readOrGuard();
  }

  /** Opens a connection. */
  static connect(driver: UringHost, options: ConnectOptions, owner: ConnectionOwner): UringConnection {
    const connection = new UringConnection(driver, -1, options.endpoint, options.retaining, owner);
    connection.dial(options, options.endpoint);
    return connection;
  }

  override pause(): void {
    super.pause();
    // Its owner waits to hear that all is sent, of which the kernel does not tell by itself.
    if (this.isSending) this.driver.hurries = true;
  }

  /** An operation has a completion. `offset` is where in the arena the bytes lie that it has received. */
  onCompletion(kind: number, result: number, flags: number, offset: number): void {
    if ((flags & CQE_MORE) === 0) {
      this.inFlight &= ~(1 << kind);
      this.ending &= ~(1 << kind);
    }
    if (this.state === CLOSED) {
      if (this.isTold && this.inFlight === 0) this.bury();
    } else if (kind === RECEIVE) {
      if (result > 0) this.onReceived(offset, result);
      else if (result === 0) this.onEndOfStream();
      else this.onReceiveFailed(-result);
    } else if (result === -ECANCELED) {
      this.readOrGuard();
    } else if (result < 0) {
      this.finish(this.failure ?? systemError('poll', -result));
    } else if (kind === WRITABLE) {
      this.onWritable();
    } else if (kind === READABLE) {
      if (this.wantsBytes() && !this.isResumed) this.read();
      this.readOrGuard();
    } else if ((result & (EPOLLERR | EPOLLHUP)) === 0) {
      this.readOrGuard();
    } else if (this.wantsBytes() || this.state === LINGERING) {
      // Who reads meets it there; unless it pauses before.
      this.isGone = true;
    } else {
      this.breakOff();
    }
  }

  /** The send that was pushed was not carried out wholly. */
  noteSend(result: number): void {
    this.sendResult = result;
  }

  /** It is known how the send went. */
  concludeSend(): void {
    const { output, sendLength, sendResult } = this;
    this.isSending = false;
    if (sendResult > 0) output.advanceAll(sendResult);
    if (this.state === CLOSED) return;
    if (sendResult < sendLength) {
      if (sendResult < 0 && sendResult !== -EAGAIN && sendResult !== -EINTR) {
        this.failSending(-sendResult);
        return;
      }
      this.blocked = true;
      this.poll(WRITABLE, EPOLLOUT, 0);
    } else if (output.unsentBytes > 0) {
      // More than one message takes, or appended since.
      this.flush();
    } else {
      const { wasBlocked } = this;
      this.wasBlocked = false;
      this.onSent(wasBlocked);
    }
  }

  /** There are buffers again. */
  feed(): void {
    this.isStarving = false;
    this.readOrGuard();
  }

  conclude(): void {
    const { driver } = this;
    // What was sent must be known before the owner hears of the end: what was not sent was not done.
    if (this.isSending) {
      driver.closing.push(this);
      return;
    }
    this.forget();
    if (this.endpoint === null) {
      // No session from here on, though it keeps its descriptor: a worker that dies now has each of its sessions counted off once.
      driver.descriptors.note(this.descriptor, driver.worker);
      driver.sessions.add(driver.worker, -1);
    }
    this.tellClosed();
    this.isTold = true;
    if (this.descriptor < 0) return;
    for (let kind = 0; kind < CONNECTION_KINDS; kind++) this.endOperation(kind);
    if (this.inFlight === 0) this.bury();
  }

  protected route(): void {
    this.driver.enroll(this);
  }

  protected awaitConnected(): void {
    this.poll(WRITABLE, EPOLLOUT, 0);
  }

  protected startReading(): void {
    // One that was asked to end begins anew with its last completion.
    if ((this.inFlight & ((1 << RECEIVE) | (1 << READABLE))) !== 0 || this.isStarving) return;
    if (this.inbox.isLarge()) this.poll(READABLE, EPOLLIN, 0);
    else this.receive();
  }

  protected stopReading(): void {
    this.guard();
  }

  protected transmit(): void {
    const { driver, output } = this;
    if (this.isSending) return;
    if (output.unsentBytes === 0) {
      this.onSent(false);
      return;
    }
    const { ring } = driver;
    const key = keyOf(this.place, SEND);
    const place = ring.nextPlace;
    let length = output.unsentLength();
    this.sendEntry = ring.pushed;
    if (length === output.unsentBytes) {
      const address = driver.address + output.unsentStart();
      ring.push(OP_SEND, SQE_SKIP_SUCCESS, 0, this.descriptor, address, length, SEND_FLAGS, key, this.generation);
    } else {
      const message = driver.messages.write(output, place);
      length = output.noted;
      ring.push(OP_SENDMSG, SQE_SKIP_SUCCESS, 0, this.descriptor, message, 1, SEND_FLAGS, key, this.generation);
    }
    this.isSending = true;
    this.sendLength = length;
    this.sendResult = length;
    driver.awaitSent(this);
    if (this.state === DRAINING || this.paused || this.wasBlocked || length < output.unsentBytes) driver.hurries = true;
  }

  private onReceived(offset: number, count: number): void {
    const { inbox } = this;
    this.fedTurn = this.driver.turns;
    if (this.state === OPEN) {
      const isShown = !this.paused && !this.isResumed;
      if (!inbox.take(offset, count)) this.finish(noMemory());
      else if (isShown && inbox.isComplete()) this.present();
      else if (!inbox.keep()) this.finish(noMemory());
    }
    if ((this.inFlight & (1 << RECEIVE)) === 0) this.readOrGuard();
    else if (inbox.isLarge() || (this.state === OPEN ? this.paused : this.state !== LINGERING))
      this.endOperation(RECEIVE);
  }

  private onEndOfStream(): void {
    if (this.state === LINGERING) {
      this.finish(null);
    } else if (this.state === DRAINING) {
      this.ended = true;
      this.guard();
    } else if (this.wantsBytes() && !this.isResumed) {
      this.end();
    } else {
      this.endWaits = true;
      this.guard();
    }
  }

  private onReceiveFailed(code: number): void {
    if (code === ECANCELED || code === EAGAIN || code === EINTR) {
      this.readOrGuard();
    } else if (code === ENOBUFS) {
      this.isStarving = true;
      this.driver.starve(this, this.fedTurn === this.driver.turns);
    } else if (this.state === LINGERING) {
      this.finish(null);
    } else {
      this.failure ??= systemError('recv', code);
      // What was kept is shown first.
      this.endWaits = true;
      if (!this.wantsBytes()) this.breakOff();
      else if (!this.isResumed) this.finish(this.failure);
    }
  }

  private onWritable(): void {
    if (this.state === CONNECTING) {
      this.finishConnecting();
      return;
    }
    this.blocked = false;
    this.wasBlocked = true;
    this.flush();
  }

  /** Goes on reading where that is wanted; else the kernel is to say only whether the socket fails. */
  private readOrGuard(): void {
    if (this.endWaits) return;
    if (this.wantsBytes() || this.state === LINGERING) this.startReading();
    else if (this.state === OPEN || this.state === DRAINING) this.guard();
  }

  private guard(): void {
    this.poll(FAILED, 0, POLL_MULTI);
  }

  private receive(): void {
    const { ring } = this.driver;
    this.inFlight |= 1 << RECEIVE;
    ring.push(
      OP_RECV,
      SQE_BUFFER_SELECT,
      RECV_MULTISHOT,
      this.descriptor,
      0,
      0,
      0,
      keyOf(this.place, RECEIVE),
      this.generation,
      this.bufferGroup.group,
    );
  }

  private poll(kind: number, events: number, how: number): void {
    if ((this.inFlight & (1 << kind)) !== 0) return;
    this.inFlight |= 1 << kind;
    const { ring } = this.driver;
    ring.push(OP_POLL_ADD, 0, 0, this.descriptor, 0, how, events, keyOf(this.place, kind), this.generation);
  }

  private endOperation(kind: number): void {
    if ((this.inFlight & ~this.ending & (1 << kind)) === 0) return;
    this.ending |= 1 << kind;
    this.driver.ring.pushCancel(keyOf(this.place, kind), this.generation, keyOf(0, CANCEL));
  }

  /** The last operation on it has ended. */
  private bury(): void {
    const { descriptor } = this;
    this.descriptor = -1;
    this.driver.retire(this);
    this.closeDescriptor(descriptor);
  }
}
