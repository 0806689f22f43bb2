/** Proposers of keys that have versions, before three copies, whose every message arrives when the test says so. */
import { proposerNumber } from '../../src/replica/ballot.js';
import type { Operation } from '../../src/replica/operation.js';
import type { ProposerEvent } from '../../src/replica/proposer.js';
import { QuorumProposer } from '../../src/replica/quorum-proposer.js';
import type { Asker, Outcome } from '../../src/replica/round.js';
import type { Answer, Step } from '../../src/replica/step.js';
import { Acceptor, type Engine } from './acceptor.js';

export const QUEUE_MAX = 4;
export const TIMEOUT_MS = 1000;
export const PATIENCE_MS = 100;
export const QUORUM = { reads: 2, writes: 2, isHomed: false, repairs: true, isEventual: false };
export const WEAK = { reads: 1, writes: 1, isHomed: true, repairs: false, isEventual: false };
export const EVENTUAL = { reads: 1, writes: 1, isHomed: false, repairs: true, isEventual: true };

/** `set x`, `append x`, `del`, `get`. */
export type Commands = readonly string[];
export type Replies = readonly string[];

const TEXTS: Engine<Commands, Replies, string> = {
  apply(commands, before) {
    let stored = before;
    const replies = commands.map((command) => {
      const [name = '', argument = ''] = command.split(' ');
      const was = stored?.value ?? 'nil';
      if (name === 'get') return was;
      if (name === 'del') stored = null;
      else if (name === 'set') stored = { value: argument, expireAt: 0 };
      else stored = { value: (stored?.value ?? '') + argument, expireAt: stored?.expireAt ?? 0 };
      return name === 'del' ? (was === 'nil' ? '0' : '1') : (stored?.value ?? 'nil');
    });
    return { stored, replies };
  },
  read: (commands, stored) => commands.map(() => stored?.value ?? 'nil'),
};

const same = (replies: Replies) => replies;

export function put(command: string): Operation<Commands, Replies> {
  return { ...change(command), isPut: true };
}

export function change(command: string): Operation<Commands, Replies> {
  const plan = () => ({ kind: 'all', commands: [command], setsExpiry: 0, reply: same }) as const;
  return { reads: null, readReply: same, plan };
}

export const GET: Operation<Commands, Replies> = { ...change('get'), reads: ['get'] };

interface Sent {
  asker: Asker<Replies, string>;
  copy: number;
  tag: number;
  step: Step<Commands, string>;
}

export type Asked = { outcome: Outcome<Replies> | null };

/** Proposers before three copies; steps are carried out when `turn` is called, in the order in which they were sent. */
export class Bench {
  nowMs = 0;
  readonly events: ProposerEvent[] = [];
  /** Copies whose clocks are ahead by a second. */
  readonly fast = new Set<number>();
  readonly copies = [0, 1, 2].map((place) => {
    const process = { runId: `run${place}`, replId: `repl${place}` };
    const copy = new Acceptor({ engine: TEXTS, clock: () => (this.fast.has(place) ? 1_000 : 0), process });
    copy.data.record = 'member';
    return copy;
  });
  /** Copies that do not answer, and those that cannot be reached. */
  readonly mute = new Set<number>();
  readonly gone = new Set<number>();
  /** How often it was asked whether a copy can be reached. */
  looks = 0;
  /** Copies of which nothing is known yet. */
  readonly awaited = new Set<number>();
  sent: Sent[] = [];
  /** What is to be kept for copies (bit i: copy i). */
  readonly missed: { copies: number; step: Step<Commands, string> }[] = [];
  private readonly proposers: QuorumProposer<Commands, Replies, string>[] = [];

  /** Its clock shows what `clock` says. */
  proposer(who: number, clock: () => number = () => 0, rules = QUORUM) {
    const proposer = new QuorumProposer<Commands, Replies, string>(
      {
        none: [],
        proposer: proposerNumber(0, who),
        timeoutMs: TIMEOUT_MS,
        patienceMs: PATIENCE_MS,
        linesMax: 10,
        keyQueueMax: QUEUE_MAX,
        now: () => this.nowMs,
        clock: () => 0,
        random: () => 0,
        isReachable: (node) => {
          this.looks++;
          return !this.gone.has(node) && !this.awaited.has(node);
        },
        isSlow: () => false,
        processOf: () => 0,
        send: (asker, copy, tag, step) => this.sent.push({ asker, copy, tag, step }),
        count: (event) => this.events.push(event),
      },
      {
        ...rules,
        onMissed: (_key, _nodes, copies, step) => this.missed.push({ copies, step }),
        majority: 2,
        isAwaited: (node) => this.awaited.has(node),
        versionClock: () => Date.UTC(2026, 0, 1) + clock(),
        alone: (commands) => commands,
        fuller: (one, other) => ((one[0] as string) < (other[0] as string) ? other : one),
      },
    );
    this.proposers.push(proposer);
    return (operation: Operation<Commands, Replies>): Asked => {
      const asked: Asked = { outcome: null };
      proposer.submit('k', [0, 1, 2], operation, {
        onOutcome: (outcome) => {
          asked.outcome = outcome;
        },
      });
      return asked;
    };
  }

  /** One round trip. Returns what was asked: copy and kind. */
  turn(isLost: (sent: Sent) => boolean = () => false): string[] {
    const { sent } = this;
    this.sent = [];
    const answers = sent.map((one): Answer<Replies, string> | null => {
      const answer = this.mute.has(one.copy) ? null : this.perform(one);
      return isLost(one) ? null : answer;
    });
    for (const [place, { asker, copy, tag }] of sent.entries()) {
      if (!this.mute.has(copy)) asker.onAnswer(copy, tag, answers[place] ?? null);
    }
    return sent.map(({ copy, step }) => `${copy} ${step.kind}`);
  }

  /** Copies that were silent go on: what was `held` on its way to them comes before all else. */
  thaw(held: readonly Sent[]): void {
    this.mute.clear();
    this.sent.unshift(...held);
    this.run();
  }

  /** Until nothing is on its way. Returns how many round trips. */
  run(): number {
    let turns = 0;
    for (; this.sent.length > 0 && turns < 50; turns++) this.turn();
    return turns;
  }

  later(ms: number): void {
    this.nowMs += ms;
    for (const proposer of this.proposers) proposer.onTime();
  }

  values(): (string | undefined)[] {
    return this.copies.map(({ data }) => data.values.get('k')?.value);
  }

  private perform({ copy, step }: Sent): Answer<Replies, string> {
    return (this.copies[copy] as Acceptor<Commands, Replies, string>).perform(step, 'k', 'member');
  }
}

export function reply({ outcome }: Asked): string | undefined {
  return outcome?.kind === 'done' ? outcome.reply[0] : `${outcome?.kind}`;
}
