/** What `ringleader doctor` finds about one pool of replicated keys, and mends if it is to. */
import { planAdmission } from '../replica/admission.js';
import { nodeObstacles } from '../replica/node-requirements.js';
import { acceptLoss } from './accept-loss.js';
import { type CheckProgress, checkCopies, type Difference } from './copy-check.js';
import { exchangeKey } from './key-exchange.js';
import type { NodeLink } from './node-link.js';
import { endVisit, namesOf, type PoolVisit, visitPool } from './pool-visit.js';
import { limitsOf, type ReplicatedPool, unservedSets } from './replicated-pools.js';

export interface DoctorOrders {
  /** Mend what differs. */
  repair: boolean;
  /** Give up what too few nodes have left. */
  acceptLoss: boolean;
  /** Keys whose copies are compared in a second; of what is only looked at ten count as one. Else the pool's repairKeysPerSecond. */
  keysPerSecond?: number;
  /** Is told, again and again, how far it is: a line. */
  tell?: (text: string) => void;
}

export interface Diagnosis {
  /** Nothing is wrong, or nothing any more. */
  isWell: boolean;
  lines: readonly string[];
}

/** Differences that are told one by one. */
const TOLD_MAX = 100;
const KEY_BYTES_TOLD_MAX = 200;

export async function examine(pool: ReplicatedPool, keepsData: boolean, orders: DoctorOrders): Promise<Diagnosis> {
  const visit = await visitPool(pool);
  const { keysPerSecond = limitsOf(pool).repairKeysPerSecond, tell = () => {} } = orders;
  try {
    const lines = [`pool ${pool.name}`, ...pool.levels.map((level) => `  ${level}`)];
    let isWell = true;
    if (orders.acceptLoss) {
      const accepted = await acceptLoss(visit, keysPerSecond, tell);
      isWell &&= accepted.isServed;
      lines.push(...accepted.lines.map((line) => `  ${line}`));
    }
    const members = describeMembers(visit, keepsData);
    const copies = await compare(visit, orders.repair, keysPerSecond, tell);
    return { isWell: isWell && members.isWell && copies.isWell, lines: [...lines, ...members.lines, ...copies.lines] };
  } finally {
    endVisit(visit);
  }
}

function describeMembers(visit: PoolVisit, keepsData: boolean): Diagnosis {
  const { pool, links } = visit;
  const views = pool.nodes.map(({ index }) => (links.get(index) as NodeLink).nodeView);
  const verdicts = planAdmission(views, { keepsData, newClusterId: '', wasBegun: false });
  const lines = pool.nodes.map(({ index, name }, at) => {
    const verdict = verdicts[at];
    const conditions = links.get(index)?.view?.conditions;
    const obstacles = conditions === undefined ? [] : nodeObstacles(conditions);
    const unfit = obstacles.length === 0 ? '' : `, but unfit: ${obstacles.join('; ')}`;
    if (verdict?.kind === 'member') return `  ${name}: member${unfit}`;
    if (verdict?.kind === 'silent') return `  ${name}: does not answer: ${links.get(index)?.trouble}`;
    if (verdict?.kind === 'admit') return `  ${name}: not yet a member: a proxy admits it${unfit}`;
    return `  ${name}: no member: ${verdict?.reason}${unfit}`;
  });
  const lacking = unservedSets(pool, (node) => (links.get(node)?.record ?? null) !== null);
  if (lacking.length > 0) {
    const [first = []] = lacking;
    lines.push(
      `  ${lacking.length} of ${pool.copySets.length} sets of nodes have too few members, as ${namesOf(visit, first)}`,
    );
    lines.push('  start the nodes that are missing; --accept-loss gives up what only they have');
  }
  return { isWell: verdicts.every(({ kind }) => kind === 'member') && lacking.length === 0, lines };
}

async function compare(
  visit: PoolVisit,
  isToRepair: boolean,
  keysPerSecond: number,
  tell: (text: string) => void,
): Promise<Diagnosis> {
  const told: string[] = [];
  let count = 0;
  let mended = 0;
  const onProgress = ({ node, part, keys }: CheckProgress) => {
    const percent = Math.floor(part * 100);
    tell(`pool ${visit.pool.name}: ${percent} %, at ${node}, ${keys} keys compared, ${count} differ`);
  };
  let weak = 0;
  const onDifference = async (difference: Difference) => {
    // A round could bring back what most copies have over what one has acknowledged since.
    const isWeak = visit.pool.placeOf(difference.key)?.level.consistency === 'weak';
    if (isWeak && difference.kind === 'behind') {
      weak++;
      return;
    }
    count++;
    const isMended = isToRepair && !isWeak && (await mend(visit, difference));
    if (isMended) mended++;
    if (told.length < TOLD_MAX)
      told.push(`  ${showKey(difference.key)}: ${difference.what}${isMended ? ': mended' : ''}`);
  };
  const { keys, missing } = await checkCopies(visit, { keysPerSecond, onDifference, onProgress });
  const lines = [`  ${keys} keys compared, ${count} differ${isToRepair ? `, ${mended} mended` : ''}`, ...told];
  if (weak > 0) {
    const rest = isToRepair ? ', and were left as they are' : '';
    lines.push(`  ${weak} weak keys are behind at some copies, as they may be${rest}`);
  }
  if (count > told.length) lines.push(`  and ${count - told.length} more`);
  if (missing.length > 0) lines.push(`  not looked at: ${namesOf(visit, missing)}`);
  return { isWell: count === mended && missing.length === 0, lines };
}

/** A value that nobody wrote by a proxy is the operator's: it may be the only one. */
async function mend(visit: PoolVisit, { kind, key, nodes }: Difference): Promise<boolean> {
  const { rounds, pool } = visit;
  if (kind === 'behind' && pool.isMerged(key)) {
    const { isWhole, behind, given } = await exchangeKey(visit, key, nodes);
    return isWhole && given === behind;
  }
  if (kind === 'behind') return rounds.mend(key, nodes);
  return kind === 'values' && rounds.rewrite(key, nodes);
}

function showKey(key: Uint8Array): string {
  const text = JSON.stringify(Buffer.from(key.subarray(0, KEY_BYTES_TOLD_MAX)).toString());
  return key.length > KEY_BYTES_TOLD_MAX ? `${text}...` : text;
}
