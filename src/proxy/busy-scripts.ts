/**
 * Scripts that run for long. One Redis then answers every command with -BUSY; here it is PING that says so, also of a script that another
 * worker's client runs, while commands for other shards are carried out.
 *
 *   script sent -> noted, by the way it went -> still unanswered after SUSPECT_MS: its node is shown to all workers, and asked whether it is busy
 *   busy        -> what is new goes to that node by another connection, and is refused there as by one Redis
 *   PING        -> no node is shown: PONG at once      some are: they are asked, by connections that the script does not keep
 *
 * The PING of a client that is told of keys (CLIENT TRACKING) is asked of the other nodes too, by the connections by which they tell it:
 * as with one Redis, PONG comes behind what is told of writes that were answered before. Where sessions of other workers have their messages sent to
 * it, these are asked to say so (redirections.ts).
 */
import type { Pending, PendingPool, ReplyOwner, Sender } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import { type BusyNodes, bitOf } from '../base/busy-nodes.js';
import type { Timer } from '../base/timers.js';
import type { NodeSnapshot } from '../messages.js';
import type { Transport } from '../transport/transport.js';
import { BusyQuestion } from './busy-question.js';
import { lanesToldOf } from './invalidation.js';
import type { QuestionsContext } from './questions.js';
import type { Session } from './session.js';

/** Milliseconds after which a script counts as one that may be busy; and between looks. Below what Redis takes for long, by far. */
const SUSPECT_MS = 50;
/** Milliseconds for which a node that has said that it is busy counts as one that may be. */
const HEARD_MS = 1_000;

export interface BusyScriptsContext {
  transport: Transport;
  pendings: PendingPool;
  pool: BackendPool;
  busyNodes: BusyNodes;
  ask: QuestionsContext['ask'];
}

/** A way to a node. One that sessions share gives way: see Channel. */
interface Way extends Sender {
  giveWay?(pending: Pending): void;
}

/** The script that went that way last: while one before it runs, it is not answered either. */
interface LastScript {
  node: number;
  pending: Pending;
  owner: ReplyOwner | null;
  arrivedMs: number;
}

export class BusyScripts {
  private readonly context: BusyScriptsContext;
  private readonly last = new Map<Way, LastScript>();
  /** Nodes that are being asked whether they are busy. */
  private readonly asked = new Set<number>();
  private timer: Timer | null = null;
  /** Nodes that have said that they are busy, and until when that counts: another script may have begun where one has ended. */
  private readonly heard = new Map<number, number>();

  constructor(context: BusyScriptsContext) {
    this.context = context;
  }

  /** `pending`, which may run a script, has been sent to that node. */
  note(way: Way, node: number, pending: Pending): void {
    const { owner, arrivedMs } = pending;
    const known = this.last.get(way);
    if (known === undefined) this.last.set(way, { node, pending, owner, arrivedMs });
    else {
      known.node = node;
      known.pending = pending;
      known.owner = owner;
      known.arrivedMs = arrivedMs;
    }
    if (this.timer === null) this.lookLater();
  }

  /** Whether a script has been running for long, anywhere. */
  get isSuspected(): boolean {
    return this.context.busyNodes.mask !== 0;
  }

  /** A command was read whose reply is `usual`, unless one of these nodes is busy: then it is what `ofBusy` makes of what that says. */
  answer(
    session: Session,
    nodes: readonly NodeSnapshot[],
    usual: Uint8Array,
    requestBytes: number,
    ofBusy: (reply: Uint8Array) => Uint8Array = (reply) => reply,
  ): void {
    const { transport, pendings, pool, busyNodes, ask } = this.context;
    const { mask } = busyNodes;
    const head = pendings.take(session, transport.now, false);
    session.track(head, requestBytes);
    const question = new BusyQuestion(this.context, session, (busy) => {
      if (busy !== null) this.onHeard(busy.node);
      session.answer(head, busy === null ? usual : ofBusy(busy.reply));
    });
    const suspects = nodes.map(({ index }) => index).filter((index) => (mask & bitOf(index)) !== 0);
    for (const index of suspects) question.ask(index, pool.at(index).urgent);
    for (const lane of lanesToldOf(session)) question.askTellers(lane, suspects);
    if (session.isToldByWorkers) {
      const { id, service, redirectionsBegun } = session;
      const onSettled = question.await();
      ask({ kind: 'settle-redirected', service, id }, (answers, silent) => {
        const isThere = answers.some((answer) => answer.kind === 'settle-redirected' && answer.isThere);
        // One that has begun since the question is not among these.
        if (!isThere && silent.length === 0) session.redirectionsOver = redirectionsBegun;
        onSettled();
      });
    }
    question.begin(suspects.length > 0);
  }

  /** Nodes may have other numbers now. */
  onTopologyChanged(): void {
    this.last.clear();
    this.heard.clear();
    this.context.busyNodes.show(0);
  }

  private onHeard(node: number): void {
    const { transport, busyNodes } = this.context;
    this.heard.set(node, transport.now + HEARD_MS);
    busyNodes.add(bitOf(node));
    if (this.timer === null) this.lookLater();
  }

  private lookLater(): void {
    const { transport } = this.context;
    this.timer = transport.timers.set(transport.now + SUSPECT_MS, () => {
      this.timer = null;
      this.look();
      if (this.last.size > 0 || this.heard.size > 0) this.lookLater();
    });
  }

  private look(): void {
    const { transport, busyNodes } = this.context;
    let mask = 0;
    const suspects = new Set<number>();
    // One whose client was answered after too long is asked for as long as it says that it is busy.
    for (const [node, untilMs] of this.heard) {
      if (transport.now < untilMs) suspects.add(node);
      else this.heard.delete(node);
    }
    for (const [way, script] of this.last) {
      if (!isUnanswered(script)) this.last.delete(way);
      else if (transport.now - script.arrivedMs >= SUSPECT_MS) suspects.add(script.node);
    }
    for (const node of suspects) {
      mask |= bitOf(node);
      this.clear(node);
    }
    busyNodes.show(mask);
  }

  /** Has the ways to a node that is busy taken by nobody else. */
  private clear(node: number): void {
    if (this.asked.has(node)) return;
    this.asked.add(node);
    const question = new BusyQuestion(this.context, null, (busy) => {
      this.asked.delete(node);
      if (busy === null) return;
      this.onHeard(node);
      for (const [way, script] of this.last)
        if (script.node === node && isUnanswered(script)) way.giveWay?.(script.pending);
    });
    question.ask(node, this.context.pool.at(node).urgent);
    question.begin(true);
  }
}

/** A pending that was answered has gone back, and may stand for another command by now. */
function isUnanswered({ pending, owner, arrivedMs }: LastScript): boolean {
  return pending.owner === owner && pending.arrivedMs === arrivedMs && !pending.isDone;
}
