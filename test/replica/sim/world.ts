/** What everybody in a run shares. */
import type { Random } from '../../help/random.js';
import type { Agenda } from './agenda.js';
import type { Judge } from './judge.js';
import type { Network } from './network.js';
import type { Message, Request, SimNode } from './node.js';
import type { Schedule } from './schedule.js';

export interface World {
  readonly schedule: Schedule;
  readonly agenda: Agenda;
  readonly random: Random;
  readonly network: Network<Request, Message>;
  readonly nodes: readonly SimNode[];
  readonly judge: Judge;
  /** All keys that clients write. */
  readonly keys: readonly string[];
  /** The nodes of a key's copies, always the same. */
  copiesOf(key: string): readonly number[];
}

/** The register of repair's epochs. */
export const EPOCH_KEY = '~rl:epoch';
