/** What a proxy does for copies of keys of consistency eventual that have missed something: it gives them what it keeps for them, and has copies compared. */
import type { Ballot } from '../../../src/replica/ballot.js';
import { exchange, giveMissed, installOf, type Mending } from '../../../src/replica/mending.js';
import type { Answer, Step } from '../../../src/replica/step.js';
import type { Acts, Outcome } from './language.js';
import type { Value } from './node.js';
import type { SimProxy } from './proxy.js';
import type { Missed } from './world.js';

const LOOK_MS = 20;

export class Mender {
  private readonly proxy: SimProxy;
  private isStopped = false;
  private isGiving = false;

  constructor(proxy: SimProxy) {
    this.proxy = proxy;
    this.later();
    if (proxy.world.schedule.compareMs > 0) this.compareLater();
  }

  stop(): void {
    this.isStopped = true;
  }

  private later(): void {
    const { agenda, random } = this.proxy.world;
    agenda.after(1 + random.below(LOOK_MS), () => {
      if (this.isStopped) return;
      if (!this.isGiving) this.giveNext();
      this.later();
    });
  }

  /** The oldest of those for nodes that are members. */
  private giveNext(): void {
    const { world, links, index } = this.proxy;
    const kept = world.missed[index] as Missed[];
    const next = kept.find(({ node }) => links[node]?.membership.record !== null);
    if (next === undefined) return;
    this.isGiving = true;
    const { node, key, version } = next;
    const giving = giveMissed<Acts, Outcome, Value>(node, world.copiesOf(key), version, (asked) => stepIn(next, asked));
    this.run(key, giving, (given) => {
      this.isGiving = false;
      world.judge.trace(() => `${this.proxy.name} gives n${node + 1} what it has missed of ${key}: ${given.kind}`);
      if (given.kind === 'silent') return;
      kept.splice(kept.indexOf(next), 1);
      if (given.kind === 'refused') kept.push(next);
      else this.giveNext();
    });
  }

  private compareLater(): void {
    const { agenda, random, keys, copiesOf, schedule } = this.proxy.world;
    agenda.after(1 + random.below(schedule.compareMs), () => {
      if (this.isStopped) return;
      for (const key of keys) this.run(key, exchange<Acts, Outcome, Value>(copiesOf(key)), () => {});
      this.compareLater();
    });
  }

  /** Obeys until it ends. */
  private run<T>(key: string, mending: Mending<Acts, Outcome, Value, T>, onEnd: (result: T) => void): void {
    const resume = (result: ReturnType<typeof mending.next>) => {
      if (this.isStopped) return;
      if (result.done === true) {
        onEnd(result.value);
        return;
      }
      const asked = result.value;
      const answers: (Answer<Outcome, Value> | null)[] = [];
      let out = asked.length;
      for (const [place, { node, step }] of asked.entries()) {
        this.proxy.links[node]?.askStep({ kind: 'step', key, step }, (message) => {
          answers[place] = message?.kind === 'step' ? message.answer : null;
          out--;
          if (out === 0 && !this.isStopped) resume(mending.next(answers));
        });
      }
    };
    resume(mending.next());
  }
}

function stepIn({ step }: Missed, version: Ballot): Step<Acts, Value> {
  if (step.kind === 'merge') return installOf(step.state, version);
  if (step.kind !== 'accept') throw new Error(`no write consists of a step ${step.kind}`);
  return { ...step, ballot: version, next: version };
}
