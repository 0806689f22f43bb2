/** A session whose next command is not carried out yet: nothing of it is read until `goOn`. All before it has been answered. */
import type { BlockedBy } from './intake.js';
import type { Session } from './session.js';

export class HeldSession implements BlockedBy {
  readonly session: Session;
  readonly isQuestion: boolean;
  readonly end: () => void;
  readonly cancel: () => void;

  /** `onGone`: it goes on, or its client has gone. */
  constructor(session: Session, isQuestion: boolean, onGone: () => void) {
    this.session = session;
    this.isQuestion = isQuestion;
    this.end = onGone;
    this.cancel = onGone;
  }

  /** It does not wait at a node. */
  unblock(_isError: boolean, done: (isUnblocked: boolean) => void): void {
    done(false);
  }
}
