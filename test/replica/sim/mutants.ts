/**
 * One rule of the protocol broken at a time, to show that the simulation would see it: by leaving it out of the model of a node,
 * or by an edit of the compiled deciders, of which a copy is then loaded.
 */
import type { Omission } from '../../help/acceptor.js';
import { type Edit, loadEdited } from '../../help/edited-copy.js';
import type * as histories from './histories.js';
import type { Simulation } from './simulation.js';

export interface Mutant {
  name: string;
  without?: readonly Omission[];
  edits?: readonly Edit[];
  /**
   * Caught so often that the fast tests look for it: in so many schedules of
   * three copies, several times those that it takes.
   */
  often?: number;
  /** The seed that they begin with, where those before it do not show it; 1 unless given. */
  from?: number;
  /** Seeds that catch it, where chance seldom does, and those with five copies. */
  seldom?: readonly { copies: 3 | 5; seed: number }[];
}

const ROUND = 'src/replica/round';
const LINEAGE = 'src/replica/lineage';
const MEMBER = 'src/replica/member';
const REPAIR = 'src/replica/repair';
const CARETAKER = 'test/replica/sim/caretaker';

/**
 * `A voided connection trusted again` is not among them: while servers that allow DEBUG are refused, nothing brings an admission
 * back with other data, and no schedule shows a difference. member.test.ts holds the rule.
 */
export const MUTANTS: readonly Mutant[] = [
  { name: 'ACCEPT without the promise check', often: 1_500, without: ['promise'] },
  {
    name: 'M1 off: a node that forgot votes',
    often: 1_500,
    without: ['record'],
    edits: [
      {
        file: MEMBER,
        from: 'const record = parseNodeRecord(facts.record);\n    if (record === null)',
        to: "const record = parseNodeRecord(facts.record);\n    const admission = record?.admission ?? { epoch: 0, count: 1 };\n    return { kind: 'member', record: facts.record, clusterId: record?.clusterId ?? '', admission };\n    if (record === null)",
      },
    ],
  },
  {
    name: 'minority instead of q',
    often: 1_500,
    edits: [
      {
        file: 'test/replica/sim/proxy',
        from: 'majority = Math.floor(schedule.copies / 2) + 1;',
        to: 'majority = Math.floor(schedule.copies / 2);',
      },
    ],
  },
  {
    name: 'W2 ignores the largest accepted',
    often: 1_500,
    edits: [{ file: ROUND, from: 'if (promise.accepted > largest.accepted)', to: 'if (false)' }],
  },
  {
    name: 'W4: a first form run at two nodes',
    often: 1_500,
    edits: [
      {
        file: ROUND,
        from: 'this.accept(plan.commands, 0, role, this.chooseOne(), plan.reply)',
        to: 'this.accept(plan.commands, 0, role, all, plan.reply)',
      },
    ],
  },
  {
    name: 'W4: a form read on one base sent on another',
    often: 1_500,
    from: 101,
    edits: [
      { file: ROUND, from: 'this.proceed(answer.replies)', to: 'this.proceed((this.found = answer.replies))' },
      {
        file: ROUND,
        from: 'if (this.sent.length === 0)\n            this.proceed(null)',
        to: 'if (this.sent.length === 0)\n            this.proceed(this.found ?? null)',
      },
    ],
  },
  {
    name: 'W6(ii) without its condition',
    often: 1_500,
    edits: [{ file: ROUND, from: 'if (!neverHappened)', to: 'if (false)' }],
  },
  {
    name: 'W6: B forgotten',
    often: 1_500,
    edits: [
      {
        file: ROUND,
        from: 'if (this.sent.length === 0)\n            this.proceed(null)',
        to: 'if (true)\n            this.proceed(null)',
      },
    ],
  },
  {
    name: 'W6: B forgotten when it runs again',
    often: 1_500,
    edits: [
      {
        file: ROUND,
        from: 'const wereUnable = sent.reduce((mask, { unable }) => mask | unable, 0);',
        to: 'const wereUnable = sent.reduce((mask, { unable }) => mask | unable, 0);\n        this.sent = [];',
      },
    ],
  },
  {
    name: 'W6: what is not the largest accepted has not happened',
    often: 1_500,
    edits: [{ file: LINEAGE, from: 'if (ballot >= accepted)', to: 'if (true)' }],
  },
  {
    name: 'W6: a newer one of the same proposer is taken for it',
    often: 1_500,
    edits: [{ file: LINEAGE, from: 'return newest < ballot ? false : null;', to: 'return newest < ballot;' }],
  },
  {
    name: 'W6: what was left out of a lineage is taken for known',
    often: 1_500,
    edits: [
      { file: LINEAGE, from: 'const KEPT_MAX = 4;', to: 'const KEPT_MAX = 1;' },
      { file: LINEAGE, from: 'left.reduce(largest, horizonOf(lineage))', to: 'horizonOf(lineage)' },
    ],
  },
  {
    name: 'W6: what was there before a key began is taken for known',
    often: 1_500,
    edits: [{ file: LINEAGE, from: 'return format([], horizon);', to: 'return NO_LINEAGE;' }],
  },
  {
    name: 'W6: B forgotten where what is there is not chosen',
    often: 1_500,
    edits: [{ file: ROUND, from: 'if (isChosen)\n            this.sent', to: 'this.sent' }],
  },
  {
    name: 'W6: B forgotten above what is chosen',
    often: 1_500,
    edits: [{ file: ROUND, from: 'ballot > base.accepted', to: 'false' }],
  },
  {
    name: 'W6: what is not chosen is answered',
    often: 1_500,
    edits: [{ file: ROUND, from: 'if (!isChosen) {', to: 'if (false) {' }],
  },
  { name: 'W6: `collected` forgotten', seldom: [{ copies: 3, seed: 2 }], without: ['collected'] },
  { name: 'no collectFloor', often: 1_500, without: ['collect-floor'] },
  {
    name: 'COLLECT after q instead of all N',
    often: 1_500,
    edits: [
      {
        file: CARETAKER,
        from: "const isEverywhere = views.every((view) => view?.kind === 'view' && view.accepted === first.accepted);",
        to: "const isEverywhere = views.filter((view) => view?.kind === 'view' && view.accepted === first.accepted).length * 2 > copies.length;",
      },
    ],
  },
  {
    name: 'R1 without EXPIRED',
    seldom: [{ copies: 3, seed: 997 }],
    edits: [{ file: 'src/replica/read-round', from: 'if (answer.isExpired)', to: 'if (false)' }],
  },
  { name: 'ACCEPT without EXPIRED', often: 1_500, without: ['expired-base', 'expired-own'] },
  { name: 'X2: passed expiry installed as not live', often: 1_500, without: ['passed-expiry'] },
  {
    name: 'X2: own expiry in the past noted by one clock',
    often: 1_500,
    without: ['expired-own'],
  },
  {
    name: 'X2: NX in the past sent as DEL',
    often: 1_500,
    edits: [
      {
        file: 'test/replica/sim/language',
        from: 'const isAllowed = base.live && flagAllows(wish.flag, wish.at, base.expireAt);',
        to: 'const isAllowed = base.live;',
      },
      {
        file: 'test/replica/sim/language',
        from: "const isAllowed = wish.flag === '' || (wish.flag === 'nx') !== base.live;",
        to: 'const isAllowed = true;',
      },
    ],
  },
  {
    name: 'EXPIRED(OWN) taken as BASE',
    often: 1_500,
    from: 221,
    edits: [{ file: ROUND, from: "if (answer.what === 'own')", to: 'if (false)' }],
  },
  {
    name: 'M1: push ignored',
    often: 1_500,
    edits: [{ file: MEMBER, from: 'this.pushes++;\n        this.standing = null;', to: '' }],
  },
  {
    name: 'M1: replid ignored',
    seldom: [{ copies: 3, seed: 1_233 }],
    edits: [{ file: MEMBER, from: 'if (record.process.replId !== facts.process.replId)', to: 'if (false)' }],
  },
  {
    name: 'M1: DEBUG RELOAD NOSAVE allowed',
    seldom: [{ copies: 3, seed: 2_907 }],
    edits: [{ file: MEMBER, from: "if (debugCommand !== 'no')", to: 'if (false)' }],
  },
  { name: 'repair INSTALL without e', seldom: [{ copies: 3, seed: 902 }], without: ['repair-record'] },
  {
    name: 'P3 without drop',
    seldom: [{ copies: 3, seed: 2_184 }],
    edits: [{ file: REPAIR, from: "yield* this.write(excess.map((key) => ({ kind: 'drop', key })));", to: '' }],
  },
  {
    name: 'P2 without RAISE',
    seldom: [
      { copies: 3, seed: 430 },
      { copies: 5, seed: 3_255 },
    ],
    edits: [
      {
        file: REPAIR,
        from: 'yield* this.raise();\n',
        to: 'for (const node of plan.members.keys()) this.raised.add(node);\n',
      },
    ],
  },
  {
    name: "P3's scan before P2",
    seldom: [{ copies: 3, seed: 1_547 }],
    edits: [
      {
        file: REPAIR,
        from: 'yield* this.raise();\n',
        to: 'for (const node of plan.members.keys()) this.raised.add(node);\n',
      },
      {
        file: REPAIR,
        from: 'yield* this.finish(process);\n',
        to: 'yield* this.raise();\n        yield* this.finish(process);\n',
      },
    ],
  },
  {
    name: 'e kept over a restart',
    often: 1_500,
    edits: [
      {
        file: CARETAKER,
        from: 'this.draw(node, action.above, (epoch) => resume(',
        to: 'this.drawOnce(node, action.above, (epoch) => resume(',
      },
      {
        file: CARETAKER,
        from: 'draw(_node, above, done) {',
        to: 'drawOnce(node, above, done) {\n        const { kept } = this.repairs.get(node);\n        if (kept) this.proxy.world.agenda.after(1, () => done(kept));\n        else this.draw(node, above, (epoch) => { this.repairs.get(node).kept = epoch; done(epoch); });\n    }\n    draw(_node, above, done) {',
      },
    ],
  },
];

const QUORUM_WRITE = 'src/replica/quorum-write';
const QUORUM_READ = 'src/replica/quorum-read';
const QUORUM_CHANGE = 'src/replica/quorum-change';
const VERSION_CLOCK = 'src/replica/version-clock';

/** Those of keys of consistency quorum. */
export const QUORUM_MUTANTS: readonly Mutant[] = [
  {
    name: 'R + W = N',
    often: 1_500,
    edits: [
      { file: 'test/replica/sim/proxy', from: '...quorums,', to: '...quorums, reads: Math.max(1, quorums.reads - 1),' },
    ],
  },
  {
    name: 'W is no majority',
    often: 1_500,
    edits: [
      {
        file: 'test/replica/sim/proxy',
        from: '...quorums,',
        to: '...quorums, writes: 1, reads: schedule.copies,',
      },
    ],
  },
  {
    name: 'a copy that refuses counts as one that took it',
    often: 1_500,
    edits: [
      {
        file: QUORUM_WRITE,
        from: "kind === 'ok' || kind === 'already'",
        to: "kind === 'ok' || kind === 'already' || kind === 'refused'",
      },
    ],
  },
  {
    name: 'a copy that gives no answer counts as one that took it',
    often: 1_500,
    edits: [
      {
        file: QUORUM_WRITE,
        from: "kind === 'ok' || kind === 'already'",
        to: "kind === 'ok' || kind === 'already' || answer === null",
      },
    ],
  },
  {
    name: 'no read repair',
    seldom: [{ copies: 3, seed: 1_705 }],
    edits: [{ file: QUORUM_READ, from: 'if (this.holders(target) >= this.needed)', to: 'if (true)' }],
  },
  {
    name: 'the first reply is told, whatever others have',
    often: 1_500,
    edits: [
      {
        file: QUORUM_READ,
        from: 'const target = told === null ? floor : largest(told.version, floor);',
        to: 'const target = told === null ? floor : told.version;',
      },
      { file: QUORUM_READ, from: 'if (this.holders(target) >= this.needed)', to: 'if (true)' },
    ],
  },
  {
    name: 'a clock that goes back takes the versions along',
    often: 1_500,
    from: 421,
    edits: [
      { file: VERSION_CLOCK, from: 'if (nowMs > this.ms', to: 'if (nowMs !== this.ms' },
      { file: VERSION_CLOCK, from: 'if (ms < this.ms)', to: 'if (true)' },
    ],
  },
  {
    name: 'the base of a change is that of the first copy',
    often: 1_500,
    from: 621,
    edits: [{ file: QUORUM_CHANGE, from: 'other.facts.accepted > one.facts.accepted', to: 'false' }],
  },
  {
    name: 'a change whose copy gives no answer is carried out again',
    often: 1_500,
    edits: [
      {
        file: QUORUM_CHANGE,
        from: "case undefined:\n                this.finish({ kind: 'unknown', why: SILENT });\n                return;",
        to: 'case undefined:\n                break;',
      },
    ],
  },
  {
    name: 'M1 off: a node that forgot counts',
    often: 1_500,
    without: ['record'],
    edits: [
      {
        file: MEMBER,
        from: 'const record = parseNodeRecord(facts.record);\n    if (record === null)',
        to: "const record = parseNodeRecord(facts.record);\n    const admission = record?.admission ?? { epoch: 0, count: 1 };\n    return { kind: 'member', record: facts.record, clusterId: record?.clusterId ?? '', admission };\n    if (record === null)",
      },
    ],
  },
  { name: 'a put is taken whatever was promised', often: 1_500, without: ['promise'] },
  { name: 'no collectFloor', often: 1_500, without: ['collect-floor'] },
];

/** Of weak keys. */
export const WEAK_MUTANTS: readonly Mutant[] = [
  {
    name: 'a read tells what was read before it, of whatever key',
    often: 500,
    from: 421,
    edits: [
      {
        file: QUORUM_READ,
        from: 'this.told = { version, replies };',
        to: '[this.told, globalThis.toldBefore] = [globalThis.toldBefore ?? { version, replies }, { version, replies }];',
      },
    ],
  },
  {
    name: 'a write that may have been carried out is said to have had no effect',
    often: 500,
    edits: [{ file: QUORUM_WRITE, from: 'if (open > 0)', to: 'if (false)' }],
  },
  { name: 'a copy takes a smaller version than it has', often: 500, without: ['promise'] },
];

/** Of weak keys while nothing goes wrong. */
export const CALM_MUTANTS: readonly Mutant[] = [
  {
    name: 'the home is ignored',
    often: 500,
    edits: [{ file: 'test/replica/sim/proxy', from: '...quorums,', to: '...quorums, isHomed: false,' }],
  },
  {
    name: 'a write does not wait for the home',
    often: 500,
    edits: [{ file: QUORUM_WRITE, from: 'if (context.isHomed)', to: 'if (false)' }],
  },
];

const MENDER = 'test/replica/sim/mender';
const MENDING = 'src/replica/mending';

/** Of keys of consistency eventual. */
export const EVENTUAL_MUTANTS: readonly Mutant[] = [
  {
    name: 'a clock that goes back takes the versions along',
    often: 500,
    from: 351,
    edits: [
      { file: VERSION_CLOCK, from: 'if (nowMs > this.ms', to: 'if (nowMs !== this.ms' },
      { file: VERSION_CLOCK, from: 'if (ms < this.ms)', to: 'if (true)' },
    ],
  },
  {
    name: 'what a client was told may be above what it writes next',
    often: 500,
    edits: [{ file: QUORUM_READ, from: 'context.versions.onSeen(version, 0);', to: ';' }],
  },
  {
    name: 'a write is acknowledged before a copy has it',
    often: 500,
    edits: [
      {
        file: QUORUM_WRITE,
        from: 'this.renew();\n        this.dueMs',
        to: 'this.renew();\n        this.resume();\n        this.dueMs',
      },
      { file: QUORUM_WRITE, from: 'if (this.mayBeTaken(0))', to: 'if (this.mayBeTaken(this.out))' },
      { file: QUORUM_WRITE, from: 'replies === null ? null : shape(replies)', to: "shape(replies ?? ['early'])" },
    ],
  },
  {
    name: 'no repair: nothing is given later, and nothing compared',
    often: 500,
    edits: [
      { file: MENDER, from: 'if (!this.isGiving)', to: 'if (false)' },
      { file: MENDER, from: 'proxy.world.schedule.compareMs > 0', to: 'false' },
    ],
  },
  {
    name: 'who compares gives what the first copy has, and it is taken',
    often: 500,
    from: 431,
    without: ['newer'],
    edits: [
      { file: MENDING, from: 'accepted < newest.accepted', to: 'accepted !== newest.accepted' },
      { file: MENDING, from: 'other.accepted > one.accepted ? other : one', to: "one.accepted === '' ? other : one" },
    ],
  },
];

/** Not seen: in their order hints make a copy equal without versions, where it gets nothing else. So it is the order that decides the next. */
export const IN_ORDER: Mutant = {
  name: 'hints are taken whatever version is there',
  without: ['promise', 'newer'],
};

/** Of the order of hints. */
export const ORDER_MUTANTS: readonly Mutant[] = [
  {
    ...IN_ORDER,
    name: `${IN_ORDER.name}, and given last first`,
    often: 50,
    edits: [{ file: MENDER, from: 'kept.find(', to: 'kept.findLast(' }],
  },
];

/** Of what is kept for copies, where nothing is compared. */
export const HINT_MUTANTS: readonly Mutant[] = [
  {
    name: 'hints are given once, whatever the answer',
    often: 500,
    edits: [
      { file: MENDER, from: "if (given.kind === 'silent')", to: 'if (false)' },
      { file: MENDER, from: "if (given.kind === 'refused')", to: 'if (false)' },
    ],
  },
  {
    name: 'nothing is kept for a copy that gives no answer',
    often: 500,
    edits: [
      { file: QUORUM_WRITE, from: 'this.silent | this.unable | this.passedOver', to: 'this.unable | this.passedOver' },
    ],
  },
  {
    name: 'nothing is kept for a copy that could not',
    often: 500,
    edits: [
      { file: QUORUM_WRITE, from: 'this.silent | this.unable | this.passedOver', to: 'this.silent | this.passedOver' },
    ],
  },
];

/** What the histories by hand stand for (see histories.ts), where it is a decider that is broken. */
export const HISTORY_MUTANTS = {
  neverChosen: {
    name: 'P3 takes what one member has for chosen',
    edits: [
      {
        file: REPAIR,
        from: 'isAgreed = false;',
        to: 'isAgreed = true;',
      },
    ],
  },
  notRaised: {
    name: 'P3 asks members that were not raised',
    edits: [
      {
        file: REPAIR,
        from: 'return set.filter((node) => this.raised.has(node)).slice(0, quorumOf(set.length));',
        to: 'return set.filter((node) => this.plan.members.has(node)).slice(-quorumOf(set.length));',
      },
    ],
  },
  ride: {
    name: 'W5: every OK-ALREADY lets the next write ride',
    edits: [{ file: ROUND, from: 'if (answer.promised === attempt.next)', to: 'if (true)' }],
  },
  reload: {
    name: 'M1: DEBUG RELOAD NOSAVE allowed',
    edits: [{ file: MEMBER, from: "if (debugCommand !== 'no')", to: 'if (false)' }],
  },
} as const satisfies Record<string, Mutant>;

const FOLDERS = { copied: ['src/replica', 'test/replica/sim'], linked: ['src/base', 'test/help', 'test/transport'] };

/** The simulation with the deciders of that mutant. */
export async function loadMutant(mutant: Mutant): Promise<{ Simulation: typeof Simulation }> {
  return (await load(mutant, 'simulation')) as { Simulation: typeof Simulation };
}

/** The histories by hand with the deciders of that mutant. */
export async function loadHistories(mutant: Mutant): Promise<typeof histories> {
  return (await load(mutant, 'histories')) as typeof histories;
}

/** A file of this folder, of a copy of all that is edited. */
function load({ name, edits = [] }: Mutant, file: string): Promise<unknown> {
  return loadEdited(name, edits, FOLDERS, `test/replica/sim/${file}`);
}
