/**
 * CLIENT PAUSE in one worker: which commands are held back, and the sessions that wait for the end of it.
 *
 *   read -> held: its session blocks, nothing of it is read -> the pause ends, by time or CLIENT UNPAUSE -> the command is read again
 */
import type { Counts } from '../base/metrics.js';
import { type PauseSnapshot, PauseTable } from '../base/pause-table.js';
import type { Timer } from '../base/timers.js';
import type { CommandSpec } from '../resp/commands.js';
import { mayReplicate } from '../resp/may-replicate.js';
import type { RequestReader } from '../resp/request.js';
import type { Transport } from '../transport/transport.js';
import { HeldSession } from './held-session.js';
import type { EndableWait } from './node-steps.js';
import type { Session } from './session.js';

export interface PausesContext {
  transport: Transport;
  reader: RequestReader;
  counts: Counts;
  /** Whether the command last read, which may write for all that is known of such commands, does not. */
  isReadOnly: (session: Session, spec: CommandSpec) => boolean;
}

interface Waiting {
  readonly service: number;
  readonly then: () => void;
}

export class Pauses {
  /** Whether any service is paused: what is asked for each command. */
  isActive = false;
  private readonly context: PausesContext;
  private readonly table = new PauseTable();
  /** By service. */
  private readonly ends = new Map<number, Timer>();
  private readonly held = new Set<HeldSession>();
  /** What goes on at the end of the pause of its service. Sessions read nothing more meanwhile: at most one for each, or one for each of its nodes. */
  private readonly waiting = new Set<Waiting>();

  constructor(context: PausesContext, pauses: readonly PauseSnapshot[]) {
    this.context = context;
    for (const pause of pauses) this.start(pause);
  }

  start(snapshot: PauseSnapshot): void {
    const { timers, now } = this.context.transport;
    const { service } = snapshot;
    const { endMs } = this.table.start(snapshot, now);
    timers.cancel(this.ends.get(service) ?? null);
    this.ends.set(
      service,
      timers.set(endMs, () => this.end(service)),
    );
    this.isActive = true;
  }

  /** What was held goes on. */
  end(service: number): void {
    this.table.end(service);
    this.context.transport.timers.cancel(this.ends.get(service) ?? null);
    this.ends.delete(service);
    this.isActive = this.table.size > 0;
    for (const one of [...this.held]) {
      if (one.session.service === service) one.session.goOn();
    }
    for (const one of [...this.waiting]) if (one.service === service && this.endWait(one)) one.then();
  }

  /** Services may have gone, and others may have their numbers one day. */
  onServicesChanged(isOpen: (service: number) => boolean): void {
    for (const service of this.table.services()) if (!isOpen(service)) this.end(service);
  }

  /** Whether the command last read must wait. */
  holds(session: Session, spec: CommandSpec): boolean {
    const { transport, reader } = this.context;
    const pause = this.table.of(session.service, transport.now);
    if (pause === null) return false;
    if (pause.isAll) return true;
    if (spec.name === 'exec') return session.transaction?.mayReplicate === true;
    // Inside of MULTI a command is queued, and Redis holds it even so.
    if (!mayReplicate(spec, transport.arena.bytes, reader.argumentStart, reader.argumentEnd)) return false;
    return !this.context.isReadOnly(session, spec);
  }

  /** More is known of what the held sessions of that service have asked. */
  lookAgain(service: number): void {
    for (const { session } of [...this.held]) if (session.service === service) session.goOn();
  }

  /** What a write of that service has to wait for that was begun before; null: nothing. */
  writeWait(service: number): EndableWait | null {
    if (!this.isActive || this.table.of(service, this.context.transport.now) === null) return null;
    return (then) => {
      const one = { service, then };
      this.context.counts.sessionsPaused++;
      this.waiting.add(one);
      return () => this.endWait(one);
    };
  }

  /** Returns whether it did wait. */
  private endWait(one: Waiting): boolean {
    if (!this.waiting.delete(one)) return false;
    this.context.counts.sessionsPaused--;
    return true;
  }

  /** The command that `session` has just sent waits, and all before it has been answered. */
  hold(session: Session): void {
    this.context.counts.sessionsPaused++;
    const held = new HeldSession(session, false, () => {
      this.context.counts.sessionsPaused--;
      this.held.delete(held);
    });
    this.held.add(held);
    session.putOff(held);
  }
}
