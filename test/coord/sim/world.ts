/** What all of one run share: the true time, chance, what went wrong, and what happened. */
import type { Random } from '../../help/random.js';
import { Agenda } from '../../replica/sim/agenda.js';

export class World {
  /** True milliseconds. */
  readonly agenda = new Agenda();
  readonly random: Random;
  /** The first that was found. */
  violation: string | null = null;
  /** All is well from now on: nothing is lost, and nothing takes long. */
  isCalm = false;
  /** Of most messages on their way, and of no more while it is calm. */
  readonly delayMsMax: number;
  /** Of those few that take long. */
  readonly lateMsMax: number;
  private readonly lines: string[] | null;

  constructor(random: Random, times: { delayMsMax: number; lateMsMax: number }, isTracing: boolean) {
    this.random = random;
    this.delayMsMax = times.delayMsMax;
    this.lateMsMax = times.lateMsMax;
    this.lines = isTracing ? [] : null;
  }

  get trace(): readonly string[] {
    return this.lines ?? [];
  }

  say(text: () => string): void {
    this.lines?.push(`${this.agenda.nowMs.toFixed(1).padStart(9)} ${text()}`);
  }

  violate(what: string): void {
    this.say(() => `VIOLATION ${what}`);
    this.violation ??= what;
  }

  /** Of one message. */
  delayMs(): number {
    const { random } = this;
    if (random.chance(15)) return 0;
    if (!this.isCalm && random.chance(3)) return random.below(this.lateMsMax);
    return random.below(this.delayMsMax * 10) / 10;
  }
}
