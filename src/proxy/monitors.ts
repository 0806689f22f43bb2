/**
 * MONITOR in one worker: the sessions that watch, and what they are shown.
 *
 *   commands of all workers --rings in shared memory--> here, every few milliseconds --> sessions of the same service
 *   scripts at the nodes    --MONITOR of the nodes----> here; what the rings have goes first, so that a script stands behind its command
 *
 * While nobody monitors, in any worker, nothing of this costs anything: what carries out commands is exchanged, in each worker, for
 * what writes them down too (monitored-dispatch.ts), before the first of its clients is told OK.
 */
import { NodeMonitor, type NodeMonitorEvents } from '../backend/node-monitor.js';
import type { Pending } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import type { SubscriberContext } from '../backend/subscriber.js';
import { errorBytes } from '../base/errors.js';
import type { Counts } from '../base/metrics.js';
import type { MonitorFeed } from '../base/monitor-feed.js';
import type { Timer } from '../base/timers.js';
import type { NodeSnapshot } from '../messages.js';
import { REPLY_OK } from '../resp/reply.js';
import type { Monitoring } from './monitoring.js';
import { inquiry, type Questions } from './questions.js';
import type { Service } from './service.js';
import { type Session, SessionError } from './session.js';

/** Milliseconds between looks at what the workers have written. */
const LOOK_MS = 5;
/** Milliseconds between questions whether users of nodes may MONITOR still. */
const ASK_AGAIN_MS = 1_000;
const NODE_DOWN = Buffer.from('-NODEDOWN ');

export interface MonitorsContext extends SubscriberContext {
  feed: MonitorFeed;
  pool: BackendPool;
  counts: Counts;
  /** Null where it is gone. */
  serviceOf: (session: Session) => Service | null;
  /** Asks a node whether the session's user may MONITOR still; `denied` is called where not. Of sessions whose users are the nodes'. */
  lookAgain: (session: Session, denied: () => void) => void;
  isOwnScript: NodeMonitorEvents['isOwnScript'];
}

/** A node whose scripts are heard of. */
interface Watched {
  monitor: NodeMonitor;
  /** Told when it is, or why not; null afterwards. */
  waiting: ((error: Uint8Array | null) => void)[] | null;
}

export class Monitors {
  private readonly context: MonitorsContext;
  private readonly questions: Questions;
  private readonly sessions = new Map<Session, Monitoring>();
  /** By `nodeKey`. */
  private readonly watched = new Map<string, Watched>();
  private timer: Timer | null = null;
  private askAgainAtMs = 0;

  constructor(context: MonitorsContext, questions: Questions) {
    this.context = context;
    this.questions = questions;
  }

  /**
   * MONITOR was read, and all before it has been answered. It is answered when the nodes' scripts are heard of, and all workers write down
   * what they carry out; a node that is down is watched when it is there.
   */
  begin(session: Session, requestBytes: number): void {
    const { pendings, transport, feed } = this.context;
    const pending = pendings.take(session, transport.now, false);
    session.track(pending, requestBytes);
    session.waitForReplies();
    const monitoring = { isShown: false, end: () => this.end(session) };
    session.monitoring = monitoring;
    this.sessions.set(session, monitoring);
    feed.want(this.sessions.size);
    if (this.sessions.size === 1) {
      feed.skip();
      this.askAgainAtMs = transport.now + ASK_AGAIN_MS;
      this.lookLater();
    }
    const nodes = this.nodesOf(session);
    // One more than there are nodes: perhaps there are none.
    let awaited = nodes.length + 1;
    let refusal: Uint8Array | null = null;
    const done = (error: Uint8Array | null) => {
      if (error !== null && NODE_DOWN.compare(error, 0, NODE_DOWN.length) !== 0) refusal ??= error;
      if (--awaited > 0) return;
      if (refusal === null) this.ask(session, pending, monitoring);
      else this.refuse(session, pending, refusal);
    };
    for (const node of nodes) this.watch(node, done);
    done(null);
  }

  /** Services and nodes may be others. */
  onTopologyChanged(): void {
    if (this.sessions.size === 0) return;
    const wanted = new Map<string, NodeSnapshot>();
    for (const session of this.sessions.keys()) {
      for (const node of this.nodesOf(session)) wanted.set(nodeKey(node), node);
    }
    const gone = [...this.watched].filter(([key]) => !wanted.has(key));
    for (const [key, { monitor }] of gone) {
      this.watched.delete(key);
      monitor.close();
    }
    for (const node of wanted.values()) this.watch(node, () => {});
    // Who has waited for them waits for the others only.
    for (const [, { waiting }] of gone) for (const each of waiting ?? []) each(null);
  }

  /** Whose scripts it is shown: of nodes that serve others, too, nobody could tell whose a script is. */
  private nodesOf(session: Session): readonly NodeSnapshot[] {
    const service = this.context.serviceOf(session);
    return service === null || service.shared !== null ? [] : service.nodes;
  }

  private ask(session: Session, pending: Pending, monitoring: Monitoring): void {
    const asked = inquiry({ kind: 'look-for-monitors' }, (_answers, silent) => {
      if (silent !== '') {
        session.endMonitoring();
        return errorBytes('ERR', `${silent}: what its clients ask would not be shown; ask again`);
      }
      // What came before is not for it.
      this.show();
      monitoring.isShown = true;
      return REPLY_OK;
    });
    this.questions.ask(pending, asked);
  }

  private refuse(session: Session, pending: Pending, error: Uint8Array): void {
    session.endMonitoring();
    session.answer(pending, error);
  }

  private end(session: Session): void {
    const { feed, transport } = this.context;
    if (!this.sessions.delete(session)) return;
    feed.want(this.sessions.size);
    if (this.sessions.size > 0) return;
    transport.timers.cancel(this.timer);
    for (const { monitor } of this.watched.values()) monitor.close();
    this.watched.clear();
  }

  /** Hears of the node's scripts. `done` is told once: whether it does now. */
  private watch(node: NodeSnapshot, done: (error: Uint8Array | null) => void): void {
    const key = nodeKey(node);
    const known = this.watched.get(key);
    if (known !== undefined) {
      if (known.waiting === null) done(null);
      else known.waiting.push(done);
      return;
    }
    const { pool, isOwnScript } = this.context;
    const waiting = [done];
    const monitor = new NodeMonitor(this.context, pool.privates(node.index), {
      isOwnScript,
      onScriptLine: (line) => this.showScriptLine(key, line),
      onTried: (error) => {
        const watched = this.watched.get(key);
        if (watched !== undefined) watched.waiting = null;
        for (const each of waiting) each(error);
      },
    });
    this.watched.set(key, { monitor, waiting });
    monitor.open();
  }

  private lookLater(): void {
    const { timers, now } = this.context.transport;
    this.timer = timers.set(now + LOOK_MS, () => {
      this.lookLater();
      this.show();
      if (this.context.transport.now >= this.askAgainAtMs) this.askAgain();
    });
  }

  /** A user of the nodes may lose its rights, or be deleted, and nobody tells. */
  private askAgain(): void {
    this.askAgainAtMs = this.context.transport.now + ASK_AGAIN_MS;
    for (const session of this.sessions.keys()) {
      if (session.lane.identity === null || session.isLeaving) continue;
      const { user } = session;
      this.context.lookAgain(session, () => {
        if (session.monitoring === null || session.user !== user) return;
        session.cutOff(new SessionError('its user may no longer MONITOR'));
      });
    }
  }

  /** Shows what the workers have written since it did so last. */
  private show(): void {
    const records = this.context.feed.read();
    if (records === null) {
      this.cutOff();
      return;
    }
    for (const { service, line } of records) {
      for (const [session, { isShown }] of this.sessions) {
        if (isShown && session.service === service) session.pushInOrder(line);
      }
    }
  }

  private showScriptLine(key: string, line: Uint8Array): void {
    this.show();
    for (const [session, { isShown }] of this.sessions) {
      if (isShown && this.nodesOf(session).some((node) => nodeKey(node) === key)) session.pushInOrder(line);
    }
  }

  /** Commands came faster than they could be shown. As one Redis, which closes a client that lets too much wait. */
  private cutOff(): void {
    for (const [session, { isShown }] of [...this.sessions]) {
      if (!isShown) continue;
      this.context.counts.sessionOutputCloses++;
      session.cutOff(new SessionError('more commands came than MONITOR could show'));
    }
  }
}

function nodeKey({ pool, name }: NodeSnapshot): string {
  return `${pool}/${name}`;
}
