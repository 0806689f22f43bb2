/** A session that waits for a lock, or several. */
import type { Pending } from '../backend/pending.js';
import { errorReply, nullReply } from '../resp/reply.js';
import type { BlockedBy } from './intake.js';
import type { Session } from './session.js';

const UNBLOCKED = errorReply('UNBLOCKED client unblocked via CLIENT UNBLOCK');

export class WaitingForLock implements BlockedBy {
  giveUp: () => void = () => {};
  private readonly session: Session;
  private readonly pending: Pending;
  private isOver = false;

  constructor(session: Session, pending: Pending) {
    this.session = session;
    this.pending = pending;
  }

  answer(reply: Uint8Array): void {
    if (this.isOver) return;
    this.isOver = true;
    this.session.answer(this.pending, reply);
  }

  end(): void {}

  /** Its client is gone. */
  cancel(): void {
    if (this.isOver) return;
    this.giveUp();
    this.answer(nullReply(this.session.protocol));
  }

  unblock(isError: boolean, done: (isUnblocked: boolean) => void): void {
    const isWaiting = !this.isOver;
    if (isWaiting) {
      this.giveUp();
      this.answer(isError ? UNBLOCKED : nullReply(this.session.protocol));
    }
    done(isWaiting);
  }
}
