/**
 * A process of its own: its clock is wrong as far as it may be, and it is stopped now and then between any two things that come to it.
 * What comes meanwhile comes when it goes on, in any order.
 */
import type { Clock } from '../../../src/base/clock.js';
import { DRIFT } from '../../../src/coord/lease.js';
import type { World } from './world.js';

/** Of a timer, in milliseconds: as an event loop that is busy. */
const TIMER_LATE_MAX = 5;
/** One in so many of the things that come to a process finds it stopped. */
const STALL_EVERY = 600;

export class Host implements Clock {
  readonly name: string;
  isDead = false;
  private readonly world: World;
  private inbox: (() => void)[] = [];
  private stops = 0;
  private rate = 1;
  private sinceMs = 0;
  private ownMs: number;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.ownMs = world.random.below(1_000_000);
    this.drift();
  }

  nowMs(): number {
    return this.ownMs + (this.world.agenda.nowMs - this.sinceMs) * this.rate;
  }

  after(ms: number, work: () => void): () => void {
    const { agenda, random } = this.world;
    let isOff = false;
    const lateMs = random.chance(50) ? 0 : random.below(TIMER_LATE_MAX);
    const appointment = agenda.after(Math.max(0, ms / this.rate) + lateMs, () => {
      this.deliver(() => {
        if (!isOff) work();
      });
    });
    return () => {
      isOff = true;
      appointment.work = null;
    };
  }

  /** Its clock goes wrong another way from now on. */
  drift(): void {
    this.ownMs = this.nowMs();
    this.sinceMs = this.world.agenda.nowMs;
    this.rate = 1 + this.world.random.pick([-DRIFT, 0, DRIFT]);
  }

  /** Something comes to it. */
  deliver(work: () => void): void {
    const { random, isCalm } = this.world;
    if (this.isDead) return;
    if (!isCalm && this.stops === 0 && random.below(STALL_EVERY) === 0) this.stop(random.size(this.world.lateMsMax));
    if (this.stops > 0) this.inbox.push(work);
    else work();
  }

  /** SIGSTOP, and SIGCONT so much later. */
  stop(forMs: number): void {
    this.world.say(() => `${this.name} is stopped for ${forMs} ms`);
    this.stops++;
    this.world.agenda.after(forMs, () => this.goOn());
  }

  /** However often it was stopped. */
  wake(): void {
    this.stops = Math.min(this.stops, 1);
    this.goOn();
  }

  private goOn(): void {
    if (this.stops === 0 || --this.stops > 0 || this.isDead) return;
    const { agenda, random } = this.world;
    this.world.say(() => `${this.name} goes on`);
    const waiting = this.inbox;
    this.inbox = [];
    while (waiting.length > 0) {
      const [work] = waiting.splice(random.below(waiting.length), 1) as [() => void];
      agenda.after(random.below(3), () => this.deliver(work));
    }
  }
}
