/**
 * One large request that goes to its node as it comes from its client, by a connection of its own, and is never held as a whole.
 *
 *   waiting --greeted--> going <--room-- full        whole --reply--> over
 *      |                   |  ^-- pause over -- held    ^
 *      |                   |------- last part ----------'
 *      |                   '--node lost, or it answers early--> answered: what is still to come of the request is dropped
 *      '--no connection, though the node is there--> over: the request is held until it is whole, and goes by the common connection
 *
 * Until the last part has gone the node carries nothing out: a client that goes before has its connection broken off there, and nothing else
 * was in it.
 */
import { FOR_NOBODY, type Pending, type ReplyOwner } from '../backend/pending.js';
import type { Holder, PrivateConnection } from '../backend/private-connection.js';
import type { Connection } from '../transport/transport.js';
import type { Activity } from './activity.js';

/** The session that it is of. */
export interface Uploader {
  readonly connection: Pick<Connection, 'pause' | 'resume' | 'unreadBytes'>;
  readonly activity: Activity;
  readonly isClosed: boolean;
  /** The request cannot go on as it comes, and nothing of it has been done: it is to be held until it is whole. */
  takeBack(): void;
  onReply(pending: Pending, start: number, end: number): void;
  onFailure(pending: Pending, error: Uint8Array): void;
}

export interface UploadContext {
  session: Uploader;
  /** Has the request, which is the session's next, wait for its reply: nothing else is read meanwhile. Called once at the most. */
  begin: (upload: Upload) => Pending;
  /** The largest argument that has been announced, bytes. */
  announcedBytes: number;
  /** What a write has to wait for that was begun before, which calls `then` at its end, unless what it returns was called; null: nothing. */
  writeWait: () => ((then: () => void) => () => void) | null;
  /** The error reply to what was not carried out, and why. */
  nodeDown: (reason: string) => Uint8Array;
  /** Whether the shared connection to the node stands. */
  isNodeThere: () => boolean;
  /** Whether its key still is where it is being sent. */
  isAtHome: () => boolean;
  /** It has its connection no more. Called once. */
  onOver: () => void;
}

type State = 'waiting' | 'going' | 'full' | 'held' | 'whole' | 'answered' | 'over';

export class Upload implements Holder, ReplyOwner {
  private state: State = 'waiting';
  private readonly context: UploadContext;
  private connection: PrivateConnection | null = null;
  /** While it is held: has the end of the pause not tell it. */
  private leavePause: (() => void) | null = null;
  /** What the client is told in place of what became of the connection. */
  private error: Uint8Array | null = null;

  constructor(context: UploadContext) {
    this.context = context;
  }

  /** It goes by that connection, which was lent to it. */
  start(connection: PrivateConnection): void {
    this.connection = connection;
    if (connection.isReady) this.onReady();
  }

  /** Whether its bytes may go on, or be dropped, now. Otherwise its session is resumed when they may. */
  get isTaking(): boolean {
    return this.state === 'going' || this.state === 'answered';
  }

  /** Whether only the end of a pause is waited for: its session is listened to meanwhile. */
  get isHeld(): boolean {
    return this.state === 'held';
  }

  /** Whether its client has had the reply. */
  get isAnswered(): boolean {
    return this.state === 'answered';
  }

  /** What is not carried out yet would be done where nobody looks for it. */
  get mustMove(): boolean {
    return this.state !== 'whole';
  }

  /** Bytes of the arena that hold what waits to be sent. */
  get heldBytes(): number {
    return this.connection?.heldBytes ?? 0;
  }

  /** Whether its last byte may go on now: what makes the node carry it out. */
  mayEnd(): boolean {
    const wait = this.state === 'going' ? this.context.writeWait() : null;
    if (wait === null) return true;
    this.state = 'held';
    this.leavePause = wait(() => this.goOn('held'));
    return false;
  }

  /** Arena bytes [start, end) are its next. */
  pass(start: number, end: number, isLast: boolean): void {
    if (this.state === 'answered' || start === end) return;
    const hasRoom = (this.connection as PrivateConnection).sendPart(start, end, isLast);
    if (isLast) this.state = 'whole';
    else if (!hasRoom && this.state === 'going') this.state = 'full';
  }

  onTopologyChanged(): void {
    const { isAtHome, nodeDown } = this.context;
    if (this.state === 'answered' || isAtHome()) return;
    if (this.state === 'waiting') this.giveBack('the key lies elsewhere now');
    else this.breakOff(nodeDown('the key lies elsewhere now'));
  }

  /** Its client has gone. */
  cancel(): void {
    if (this.state !== 'answered') this.breakOff(FOR_NOBODY);
  }

  /** It is not to be carried out. `error` is what the client is told. */
  breakOff(error: Uint8Array): void {
    const wasWaiting = this.state === 'waiting';
    this.leavePause?.();
    this.error = error;
    this.connection?.destroy('the rest of a request does not come');
    // Otherwise the connection tells so.
    if (wasWaiting) this.end();
  }

  onReady(): void {
    const { session, begin, announcedBytes } = this.context;
    const pending = begin(this);
    const refusal = (this.connection as PrivateConnection).begin(pending, announcedBytes);
    if (refusal === null) {
      this.goOn('waiting');
      return;
    }
    this.connection?.giveBack(null);
    this.end();
    session.onFailure(pending, refusal);
  }

  onRoom(): void {
    this.goOn('full');
  }

  /** What was begun has been told. */
  onLost(_connection: PrivateConnection, error: Error): void {
    const { session, begin, nodeDown, isNodeThere } = this.context;
    if (this.state !== 'waiting') return;
    if (isNodeThere()) {
      this.giveBack(error.message);
      return;
    }
    const pending = begin(this);
    this.end();
    session.onFailure(pending, nodeDown(error.message));
  }

  onReply(pending: Pending, start: number, end: number): void {
    const { connection, state } = this;
    this.end();
    // A node that answers before it has all takes no more of it.
    if (state === 'whole') connection?.giveBack(null);
    else connection?.destroy('it answered what it had not read');
    this.context.session.onReply(pending, start, end);
  }

  onPrelude(): void {}

  onFailure(pending: Pending, error: Uint8Array): void {
    this.end();
    this.context.session.onFailure(pending, this.error ?? error);
  }

  awaits(): boolean {
    return true;
  }

  askers(): readonly object[] {
    return [this.context.session];
  }

  get isGone(): boolean {
    return this.context.session.isClosed;
  }

  /** It waits for a connection, and is not to go by one. */
  private giveBack(reason: string): void {
    this.connection?.destroy(reason);
    this.connection = null;
    this.state = 'over';
    this.context.onOver();
    this.context.session.takeBack();
  }

  private goOn(from: State): void {
    if (this.state !== from) return;
    this.state = 'going';
    this.readOn();
  }

  /** What is still to come is the client's to send in time. */
  private readOn(): void {
    const { activity, connection } = this.context.session;
    activity.onUnfinished(connection.unreadBytes);
    // Who was held was listened to: what is unread is presented again only to who was paused.
    connection.pause();
    connection.resume();
  }

  /** It has been answered, or will be at once. */
  private end(): void {
    const isWhole = this.state === 'whole';
    this.leavePause?.();
    this.state = isWhole ? 'over' : 'answered';
    this.connection = null;
    this.context.onOver();
    if (!isWhole) this.readOn();
  }
}
