/**
 * The operator's way out where too few members are left for any repair (REPLICATION.md, P5): what the nodes that answer have is
 * taken for all that there is.
 *
 *   an epoch above all that can be seen
 *   nodes that were restarted with data  -> members as they are
 *   nodes whose repair came to no end    -> repaired from the members there are, and keep what is larger; while a set lacks its quorum
 *   a set without any of these           -> its empty nodes are members
 *   members                              -> raised
 *   the others, while a set lacks its quorum -> repaired from the members there are, the largest state that one of them has
 *
 * What may be lost: writes that only nodes had that do not answer now, and those that a restart lost. With no more members than a
 * quorum all of them take part in each decision, so that the largest state of all counts.
 */
import { clusterInForce, serverFault } from '../replica/member.js';
import type { NodeRecord } from '../replica/member-step.js';
import { EPOCH_KEY, FLOOR_KEY } from '../replica/meta.js';
import { encodeMemberStep } from '../replica/node-member-step.js';
import { formatNodeRecord, parseNodeRecord } from '../replica/node-record.js';
import { setsWithoutQuorum } from '../replica/repair.js';
import { elementsOf, textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { encodeCommand } from '../resp/reply.js';
import type { NodeLink } from './node-link.js';
import { namesOf, type PoolVisit } from './pool-visit.js';
import { runRepair } from './repair-run.js';

const ASK_EPOCHS = encodeCommand(['MGET', FLOOR_KEY, EPOCH_KEY]);
const EPOCH_DIGITS = 8;
const PAGE_KEYS = 500;

export interface AcceptedLoss {
  /** Whether all sets have a quorum now. */
  isServed: boolean;
  /** What was done, and what may be lost, a sentence each. */
  lines: readonly string[];
}

/** `keysPerSecond` is the pace of repairs; `tell` is told, again and again, how far they are. */
export async function acceptLoss(
  visit: PoolVisit,
  keysPerSecond: number,
  tell: (text: string) => void,
): Promise<AcceptedLoss> {
  return new LossAcceptance(visit, keysPerSecond, tell).run();
}

class LossAcceptance {
  private readonly visit: PoolVisit;
  private readonly keysPerSecond: number;
  private readonly tell: (text: string) => void;
  private readonly lines: string[] = [];
  private epoch = 0;
  /** Sets that lacked a quorum at first. */
  private readonly lackedFirst: readonly (readonly number[])[];
  private clusterId = '';

  constructor(visit: PoolVisit, keysPerSecond: number, tell: (text: string) => void) {
    this.visit = visit;
    this.keysPerSecond = keysPerSecond;
    this.tell = tell;
    this.lackedFirst = this.lacking();
  }

  async run(): Promise<AcceptedLoss> {
    const { visit, lines } = this;
    const { links } = visit;
    if (this.lackedFirst.length === 0) {
      return { isServed: true, lines: ['every set of nodes has its quorum: there is no loss to accept'] };
    }
    const ids = [...links.values()].map((link) => wasAdmitted(recordOf(link))?.clusterId ?? null);
    const clusterId = clusterInForce(ids);
    if (clusterId === null) {
      return {
        isServed: false,
        lines: ['the nodes that answer do not say which cluster they belong to: nothing was done'],
      };
    }
    this.clusterId = clusterId;
    this.epoch = (await this.largestEpoch()) + 1;
    const silent = [...links].flatMap(([node, { view }]) => (view === null ? [node] : []));
    if (silent.length > 0)
      lines.push(`lost may be what only these had, which do not answer: ${namesOf(visit, silent)}`);
    await this.admitWhere(
      (link) => this.isIn(this.lackedFirst, link) && this.hasData(link),
      'as it is, with the data that it has',
    );
    await this.goOnWithUnfinished();
    const empty = this.withoutMembers();
    await this.admitWhere(
      (link) => this.isIn(empty, link) && link.view?.keysFound === 0,
      'empty: no node of one of its sets has any data',
    );
    await this.raiseMembers();
    for (const [index, link] of links) {
      const { view } = link;
      if (view === null || serverFault(view.facts) !== null || this.isMember(index)) continue;
      if (this.isIn(this.withoutMembers(), link))
        lines.push(`${link.node.name} has ${view.keysFound} keys of which nobody knows: empty it, and call this again`);
      else if (this.isIn(this.lacking(), link)) await this.repair(link, view.facts.record);
    }
    const rest = this.lacking();
    // Repairs to come draw larger ones.
    if (rest.length === 0 && (await visit.rounds.drawEpoch(this.epoch)) === null) {
      lines.push('the register of epochs could not be written: call this again');
      return { isServed: false, lines };
    }
    for (const set of rest) lines.push(`too few nodes answer of ${namesOf(visit, set)}`);
    return { isServed: rest.length === 0, lines };
  }

  private lacking(): (readonly number[])[] {
    return setsWithoutQuorum(this.visit.pool.copySets, (node) => this.isMember(node));
  }

  private withoutMembers(): (readonly number[])[] {
    return this.visit.pool.copySets.filter((set) => !set.some((node) => this.isMember(node)));
  }

  private isMember(node: number): boolean {
    return (this.visit.links.get(node)?.record ?? null) !== null;
  }

  private isIn(sets: readonly (readonly number[])[], { node }: NodeLink): boolean {
    return sets.some((set) => set.includes(node.index));
  }

  /** Of a member that was restarted: it may be the only one that has something. */
  private hasData(link: NodeLink): boolean {
    return this.ownStatus(link) === 'member';
  }

  /** They have what they had before, as far as their repair has not replaced it by what is newer: each keeps what is larger. */
  private async goOnWithUnfinished(): Promise<void> {
    for (const [index, link] of this.visit.links) {
      const { view } = link;
      if (view === null || serverFault(view.facts) !== null || this.isMember(index)) continue;
      if (this.ownStatus(link) !== 'repairing' || !this.isIn(this.lackedFirst, link)) continue;
      if (this.isIn(this.lacking(), link)) await this.repair(link, view.facts.record);
      else this.lines.push(`${link.node.name} is not needed, and is to be repaired: what only it has is given up`);
    }
  }

  /** Of a record that is its own, and of this cluster. */
  private ownStatus(link: NodeLink): NodeRecord['status']['kind'] | null {
    const record = recordOf(link);
    const isOwn = record !== null && record.name === link.node.name && record.clusterId === this.clusterId;
    return isOwn ? record.status.kind : null;
  }

  private async admitWhere(isMeant: (link: NodeLink) => boolean, how: string): Promise<void> {
    for (const [index, link] of [...this.visit.links]) {
      const { view, node } = link;
      if (view === null || this.isMember(index) || serverFault(view.facts) !== null || !isMeant(link)) continue;
      const { process, record: expected } = view.facts;
      const admission = { epoch: this.epoch, count: 0 };
      const { clusterId } = this;
      const record = formatNodeRecord({ clusterId, name: node.name, admission, process, status: { kind: 'member' } });
      // Where nothing is chosen time alone is to order what is written: see RepairPlan.isEventual.
      const epoch = this.visit.pool.isEventual ? null : this.epoch;
      const step = { kind: 'admit', expected, process, record, epoch } as const;
      const answer = await link.ask(encodeMemberStep(step, new Uint8Array()));
      await link.look();
      if (answer?.kind === 'admitted') this.lines.push(`${node.name} is a member ${how}`);
      else this.lines.push(`${node.name} could not be admitted: ${answer?.kind ?? 'it did not answer'}`);
    }
  }

  /** Ballots from before are of no more use with the votes that are gone. */
  private async raiseMembers(): Promise<void> {
    if (this.visit.pool.isEventual) return;
    for (const link of this.visit.links.values()) {
      const { record } = link;
      if (record === null) continue;
      await link.askMember(record, encodeMemberStep({ kind: 'raise', epoch: this.epoch }, Buffer.from(record)));
    }
  }

  private async repair(link: NodeLink, found: string): Promise<void> {
    const { pool, links, rounds } = this.visit;
    const { node } = link;
    const { repairBytesInFlightMax: bytesMax } = node.limits;
    const members = new Map([...links].flatMap(([index, { record }]) => (record === null ? [] : [[index, record]])));
    const outcome = await runRepair({
      plan: {
        ...{ node: node.index, name: node.name, clusterId: this.clusterId, found },
        ...{ epochSeen: this.epoch, members, acceptsLoss: true, pageKeys: PAGE_KEYS, bytesMax },
        copySets: pool.copySets.filter((set) => set.includes(node.index)),
        copiesOf: (key) => pool.placeOf(key)?.nodes ?? null,
        isWeak: (key) => pool.placeOf(key)?.level.consistency === 'weak',
        ...(pool.ranges === null ? {} : { isMerged: pool.isMerged, isEventual: pool.isEventual }),
      },
      links,
      rounds: {
        // The register of epochs may be what has no quorum.
        drawEpoch: async (above) => {
          this.epoch = Math.max(this.epoch, above) + 1;
          return this.epoch;
        },
        settle: (key, nodes, epoch) => rounds.settle(key, nodes, epoch),
      },
      keysPerSecond: this.keysPerSecond,
      stopped: new AbortController().signal,
      onProgress: ({ keysCompared, keysReplaced }) => {
        this.tell(
          `pool ${pool.name}: ${node.name} is repaired, ${keysCompared} keys compared, ${keysReplaced} keys copied`,
        );
      },
    });
    await link.look();
    if (outcome.kind === 'done') {
      const { keysReplaced } = outcome.progress;
      const own = parseNodeRecord(found)?.status.kind === 'repairing' ? 'what it had, and ' : '';
      this.lines.push(
        `${node.name} is a member, with ${own}${keysReplaced} keys that were copied from those that were left`,
      );
    } else
      this.lines.push(`${node.name} could not be repaired: ${'reason' in outcome ? outcome.reason : outcome.kind}`);
  }

  /** Of all that can be seen: of records, floors, and the register. */
  private async largestEpoch(): Promise<number> {
    let largest = 0;
    for (const link of this.visit.links.values()) {
      const record = recordOf(link);
      if (record !== null) largest = Math.max(largest, record.admission.epoch);
      if (record?.status.kind === 'repairing') largest = Math.max(largest, record.status.epoch);
      const found = await link.ask({ frames: ASK_EPOCHS, replyCount: 1, decode: ([reply]) => reply ?? null });
      if (found === null || found[0] !== TYPE.array) continue;
      const [floor, register] = elementsOf(found) as [Uint8Array, Uint8Array];
      if (floor[0] === TYPE.bulk) largest = Math.max(largest, Number(textOf(floor).slice(0, EPOCH_DIGITS)));
      if (register[0] === TYPE.bulk) largest = Math.max(largest, Number(textOf(register)));
    }
    return largest;
  }
}

function recordOf({ view }: NodeLink): NodeRecord | null {
  return view && parseNodeRecord(view.facts.record);
}

function wasAdmitted(record: NodeRecord | null): NodeRecord | null {
  return record !== null && record.status.kind !== 'joining' ? record : null;
}
