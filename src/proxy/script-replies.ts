/** Who stands before a session that calls a script, and looks at the reply. */
import type { LaneChannel } from '../backend/lane.js';
import type { Carrier, Pending, ReplyOwner } from '../backend/pending.js';
import type { KnownScript } from './known-scripts.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

/** A call by SHA1 of a script that is known here. */
export interface Call {
  /** Of the command that has the script itself. */
  readonly name: string;
  readonly script: KnownScript;
  readonly argumentCount: number;
  /** Where its words begin behind the SHA1, while it is the command last read. */
  readonly restStart: number;
}

export interface CallRoute {
  readonly session: Session;
  /** As it was laid out when the call was sent: the node is numbered so. */
  readonly service: Service | null;
  readonly node: number;
  readonly channel: LaneChannel;
  readonly isWrite: boolean;
  readonly requestBytes: number;
}

/** Whom they ask what becomes of a reply. */
export interface ReplyReader {
  /** The reply to a script that was not known is arena bytes [start, end). */
  onShown(script: KnownScript, start: number): void;
  /** The reply to a call by SHA1 is arena bytes [start, end). True: nobody is told of it for now. */
  keeps(call: CallBySha, pending: Pending, start: number, end: number): boolean;
  /** A call by SHA1 has failed. */
  onCallFailed(call: CallBySha): void;
}

/** Stands before the session, which it is for: looks at the reply. */
export class SessionReply implements ReplyOwner {
  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  onReply(pending: Pending, start: number, end: number): void {
    this.session.onReply(pending, start, end);
  }

  onPrelude(): void {}

  onFailure(pending: Pending, error: Uint8Array): void {
    this.session.onFailure(pending, error);
  }

  awaits(connection: Carrier): boolean {
    return this.session.awaits(connection);
  }

  askers(): readonly object[] {
    return this.session.askers();
  }

  get isGone(): boolean {
    return this.session.isGone;
  }
}

/** Who has shown a script that was not known: where the node does not take it, it is not. */
export class FirstShowing extends SessionReply {
  private readonly calls: ReplyReader;
  private readonly script: KnownScript;

  constructor(calls: ReplyReader, session: Session, script: KnownScript) {
    super(session);
    this.calls = calls;
    this.script = script;
  }

  override onReply(pending: Pending, start: number, end: number): void {
    this.calls.onShown(this.script, start);
    super.onReply(pending, start, end);
  }
}

/** Who asked for a script by its SHA1 at a server that is to have it. */
export class CallBySha extends SessionReply {
  readonly route: CallRoute;
  readonly call: Call;
  /** Of the frame, what stands behind the SHA1. */
  readonly restBytes: number;
  private readonly calls: ReplyReader;

  constructor(calls: ReplyReader, route: CallRoute, call: Call, restBytes: number) {
    super(route.session);
    this.calls = calls;
    this.route = route;
    this.call = call;
    this.restBytes = restBytes;
  }

  override onReply(pending: Pending, start: number, end: number): void {
    if (!this.calls.keeps(this, pending, start, end)) super.onReply(pending, start, end);
  }

  override onFailure(pending: Pending, error: Uint8Array): void {
    this.calls.onCallFailed(this);
    super.onFailure(pending, error);
  }
}
