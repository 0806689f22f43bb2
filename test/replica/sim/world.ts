/** What everybody in a run shares. */
import type { Ballot } from '../../../src/replica/ballot.js';
import type { Step } from '../../../src/replica/step.js';
import type { Random } from '../../help/random.js';
import type { Agenda } from './agenda.js';
import type { Judge } from './judge.js';
import type { Acts } from './language.js';
import type { Network } from './network.js';
import type { Message, Request, SimNode, Value } from './node.js';
import type { Schedule } from './schedule.js';

export interface Missed {
  node: number;
  key: string;
  step: Step<Acts, Value>;
  version: Ballot;
}

export interface World {
  readonly schedule: Schedule;
  readonly agenda: Agenda;
  readonly random: Random;
  readonly network: Network<Request, Message>;
  readonly nodes: readonly SimNode[];
  readonly judge: Judge;
  /** All keys that clients write. */
  readonly keys: readonly string[];
  /** Of consistency eventual, by proxy: what it keeps for nodes, whether or not it is alive. */
  readonly missed: readonly Missed[][];
  /** By key, the newest deletion that a node has forgotten. */
  readonly forgotten: Map<string, Ballot>;
  /** The nodes of a key's copies, always the same. */
  copiesOf(key: string): readonly number[];
}

/** The register of repair's epochs. */
export const EPOCH_KEY = '~rl:epoch';
