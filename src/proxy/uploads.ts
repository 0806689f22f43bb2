/**
 * Which large requests go to their nodes as they come (Upload): commands of one key at a fixed place, known before their large argument has
 * come, and sharded. All others are held until they are whole, and then carried out like any: those of replicated keys and locks, those of several
 * keys, inside of MULTI, of clients that are subscribed or track keys or have not all rights, and while somebody monitors.
 */
import type { PendingPool } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import type { PrivateConnections } from '../backend/private-connections.js';
import type { Counts } from '../base/metrics.js';
import { arityFits, type CommandSpec, findCommand } from '../resp/commands.js';
import type { RequestProgress, RequestReader } from '../resp/request.js';
import type { Pauses } from './pauses.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { Upload } from './upload.js';

export interface UploadsContext {
  /** The arena. */
  bytes: Uint8Array;
  reader: RequestReader;
  pendings: PendingPool;
  pool: BackendPool;
  pauses: Pauses;
  counts: Counts;
  serviceOf: (session: Session) => Service;
  now: () => number;
}

export class Uploads {
  private readonly context: UploadsContext;
  /** How many are under way to each node; none where there is no number. */
  private readonly underWay = new Map<PrivateConnections, number>();

  constructor(context: UploadsContext) {
    this.context = context;
  }

  /**
   * Begins the unfinished command of `session` at arena offset `start`. `whole`: it is to be held until it has come; `later`: not now, the
   * replies before it must have gone out.
   */
  begin(session: Session, start: number, progress: RequestProgress): Upload | 'whole' | 'later' {
    const { bytes, reader, pendings, pool, pauses, counts, now } = this.context;
    const known = reader.look(bytes, start, progress);
    const spec = this.findPlain(session, known);
    if (spec === null) return 'whole';
    const key = bytes.slice(reader.argumentStart[spec.firstKey], reader.argumentEnd[spec.firstKey]);
    const node = this.nodeOf(session, key);
    if (node < 0) return 'whole';
    const privates = pool.privates(node);
    if ((this.underWay.get(privates) ?? 0) >= privates.node.limits.largeConnectionsMax) return this.holdWhole();
    if (!session.isIdle) return 'later';
    if (pauses.isActive && pauses.holds(session, spec)) {
      pauses.hold(session);
      return 'later';
    }
    const { service } = session;
    const upload = new Upload({
      session,
      begin: (owner) => {
        const pending = pendings.take(owner, now(), spec.write);
        counts.commands++;
        counts.requestsPassedOn++;
        session.lastCommand = spec.name;
        if (spec.write) session.noteWrite(node);
        session.track(pending, 0);
        session.waitForReplies();
        return pending;
      },
      announcedBytes: progress.announced,
      writeWait: () => (spec.write ? pauses.writeWait(service) : null),
      nodeDown: (reason) => privates.nodeDown(reason),
      isNodeThere: () => privates.isNodeThere,
      isAtHome: () => this.isAt(session, key, privates),
      onOver: () => this.end(privates),
    });
    const connection = pool.lendIfAny(node, session.lane, upload);
    if (connection === null) return this.holdWhole();
    this.underWay.set(privates, (this.underWay.get(privates) ?? 0) + 1);
    upload.start(connection);
    return upload;
  }

  /** It might go as it comes, if there were a connection for it. */
  private holdWhole(): 'whole' {
    this.context.counts.requestsHeldWhole++;
    return 'whole';
  }

  /** The row for the command last looked at, of which `known` arguments are there, if nothing needs to know more of it; else null. */
  private findPlain(session: Session, known: number): CommandSpec | null {
    const { bytes, reader } = this.context;
    const { argumentStart, argumentEnd, argumentCount } = reader;
    const isPlain =
      session.isFree && session.transaction === null && session.subscriptions === null && session.tracking === null;
    if (!isPlain || known === 0) return null;
    const spec = findCommand(bytes, argumentStart[0] as number, argumentEnd[0] as number);
    if (spec === null || spec.subcommands !== null || spec.route !== 'one' || spec.refusable) return null;
    return spec.firstKey > 0 && spec.firstKey < known && arityFits(spec, argumentCount) ? spec : null;
  }

  /** The node of a key; -1 where the key is not simply there. */
  private nodeOf(session: Session, key: Uint8Array): number {
    const service = this.context.serviceOf(session);
    if (service.copySetsOf(key, 0, key.length) !== null || service.isLock(key, 0, key.length)) return -1;
    return service.nodeOf(key, 0, key.length);
  }

  private isAt(session: Session, key: Uint8Array, privates: PrivateConnections): boolean {
    const node = this.nodeOf(session, key);
    return node >= 0 && this.context.pool.privates(node) === privates;
  }

  private end(privates: PrivateConnections): void {
    const left = (this.underWay.get(privates) ?? 0) - 1;
    if (left > 0) this.underWay.set(privates, left);
    else this.underWay.delete(privates);
  }
}
