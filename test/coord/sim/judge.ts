/** What must be true at each moment of a run, and what when all has calmed down. */

import type { Key } from '../../../src/coord/key.js';
import { decodeLease } from '../../../src/coord/lease.js';
import { encodeFacts } from '../../../src/coord/member-facts.js';
import { LED_KEY, type SimMember, TOPOLOGY_KEY } from './sim-member.js';
import type { Change, SimStore } from './sim-store.js';
import type { World } from './world.js';

export class Judge {
  /** All that are there; some are stopped. */
  members: readonly SimMember[] = [];
  private readonly world: World;
  /** Who has which lease, by the holder. */
  private readonly holders = new Map<string, SimMember>();
  private readonly terms = new Set<number>();
  /** The last in which somebody led. */
  private led = 0;
  private sealed = 0;
  /** What is known to be done, and not to be, by the mark. */
  private readonly done = new Map<string, { key: Key; value: string | null; version: number }>();
  private readonly notDone = new Map<string, string>();
  /** How much there was to judge. */
  readonly tally = { terms: 0, ended: 0, done: 0, notDone: 0, sealed: 0, reached: 0 };

  constructor(world: World) {
    this.world = world;
  }

  /** After each thing that happens. */
  look(): void {
    let leader: SimMember | null = null;
    const names = new Set<string>();
    for (const member of this.members) {
      const { name, membership, election } = member;
      if (membership.isMember) {
        if (names.has(name)) this.world.violate(`two are the member ${name}`);
        names.add(name);
      }
      if (!election.isLeader) continue;
      if (leader !== null) this.world.violate(`${leader.name} and ${name} lead at one time`);
      leader = member;
      const { term } = election;
      if (term === null || term < this.led) this.world.violate(`${name} leads in term ${term} after ${this.led}`);
      else this.led = term;
    }
  }

  /** Before it is sent. */
  onSent(member: SimMember, value: string | null): void {
    const holder = value === null ? null : holderOf(value);
    if (holder !== null) this.holders.set(holder, member);
  }

  onChange({ key, before, after }: Change): void {
    if (key.folder === LED_KEY.folder) {
      const term = termOf(after.value);
      if (term < termOf(before.value)) this.world.violate(`what the leader of ${term} sent landed on ${before.value}`);
      if (term < this.sealed) this.world.violate(`the leader of ${term} wrote after ${this.sealed} had sealed it`);
    }
    if (key.folder === TOPOLOGY_KEY.folder && Number(after.value) !== Number(before.value ?? 0) + 1) {
      this.world.violate(`the topology went from ${before.value} to ${after.value}`);
    }
    const holder = before.value === null ? null : holderOf(before.value);
    if (holder === null || (after.value !== null && holderOf(after.value) === holder)) return;
    const member = this.holders.get(holder) as SimMember;
    if (member.host.isDead) return;
    this.tally.ended++;
    const isHeld = key.folder === 'leader' ? member.election.isLeader : member.membership.isMember;
    if (isHeld) this.world.violate(`the lease ${key.folder}/${key.name} was ended while ${member.name} had it`);
  }

  onElected(term: number): void {
    if (this.terms.has(term)) this.world.violate(`term ${term} began twice`);
    this.terms.add(term);
    this.tally.terms++;
  }

  /** The entry of the leader is sealed, and has that value. */
  onSealed(term: number, value: string | null): void {
    this.tally.sealed++;
    this.sealed = Math.max(this.sealed, term);
    this.world.say(() => `sealed by ${term}: ${value}`);
  }

  /** All members are said to go by a version of the topology that is not older. */
  onReached(version: number): void {
    this.tally.reached++;
    const late = this.members.filter((member) => !member.host.isDead && member.mayAct && member.goesBy < version);
    for (const { name, goesBy } of late) this.world.violate(`${name} goes by ${goesBy} when all go by ${version}`);
  }

  onDone(mark: string, key: Key, value: string | null, version: number): void {
    this.tally.done++;
    this.done.set(mark, { key, value, version });
  }

  onNotDone(mark: string, how: string): void {
    this.tally.notDone++;
    this.notDone.set(mark, how);
  }

  /** When all has calmed down. */
  conclude(store: SimStore): void {
    for (const [mark, { key, value, version }] of this.done) {
      const change = store.changes.get(mark);
      const isIt = change?.key.name === key.name && change.after.value === value && change.after.version === version;
      if (!isIt) this.world.violate(`${key.folder}/${key.name} ${version} was done, and was not`);
    }
    for (const [mark, how] of this.notDone) {
      if (store.changes.has(mark)) this.world.violate(`${mark} was carried out after ${how}`);
    }
    this.lookAtAll(store);
  }

  private lookAtAll(store: SimStore): void {
    const { members, world } = this;
    const shown = [...store.folder('members').entries].map(
      ([name, { value }]) => `${name} ${decodeLease(value ?? '').value}`,
    );
    const there = members.map(({ name, goesBy }) => {
      return `${name} ${encodeFacts({ version: '1', sinceMs: 0, topologyVersion: goesBy, reason: null })}`;
    });
    if (`${shown.sort()}` !== `${there.sort()}`) world.violate(`there are ${there}, and the store has ${shown}`);
    const newest = Number(store.get(TOPOLOGY_KEY).value ?? 0);
    const leaders = members.filter(({ election }) => election.isLeader);
    if (leaders.length !== 1) world.violate(`${leaders.length} lead in the end`);
    for (const { name, membership, goesBy, election, waits } of members) {
      if (!membership.isMember) world.violate(`${name} is no member in the end`);
      const view = [...membership.members.values()].map((member) => `${member.name} ${encodeFacts(member)}`);
      if (`${view.sort()}` !== `${there}`) world.violate(`${name} sees ${view}, and there are ${there}`);
      if (goesBy !== newest) world.violate(`${name} goes by ${goesBy} in the end, not by ${newest}`);
      if (waits > 0) world.violate(`${name} waits for what all have`);
      const { leader } = election;
      if (leader?.name !== leaders[0]?.name || leader?.term !== leaders[0]?.election.term) {
        world.violate(`${name} takes ${leader?.name} for the leader of ${leader?.term}`);
      }
    }
  }
}

function holderOf(text: string): string | null {
  return /^\d{1,9} ([\w-]{16}) /.exec(text)?.[1] ?? null;
}

/** 0: no leader has written it yet. */
function termOf(text: string | null): number {
  return Number((text ?? '0').split(' ')[0]);
}
