/** H1 to H8: right as the product is, and wrong as soon as the rule is broken that each stands for. */
import t from 'tap';
import * as histories from './sim/histories.js';
import { HISTORY_MUTANTS, loadHistories } from './sim/mutants.js';

t.test('H1: a state that was never chosen is not what a repaired node gets', async (t) => {
  const right = ['done', 'refused', 'v'];
  t.same(histories.neverChosen(), right);
  const broken = await loadHistories(HISTORY_MUTANTS.neverChosen);
  t.same(broken.neverChosen(), ['done', 'already', 'w'], 'v was acknowledged, and is lost');
});

t.test('H2: a repair asks members that it has raised', async (t) => {
  t.same(histories.notRaised(), ['done', 'ok', 'v']);
  const broken = await loadHistories(HISTORY_MUTANTS.notRaised);
  t.same(broken.notRaised(), ['done', 'ok', 'null'], 'v was acknowledged, and is lost');
});

t.test('H3: a late `repairing` does not reach a live member', async (t) => {
  t.same(histories.lateRepairing(false).slice(1), ['ok', 'v']);
  t.same(histories.lateRepairing(true), ['done', 'ok', 'null'], 'v was acknowledged, and is lost');
});

t.test('H4: an epoch is not of one’s own making', async (t) => {
  const [second, first, ...end] = histories.ownEpoch(false);
  t.equal(second, 'done');
  t.match(first, /epoch 2 has begun since/);
  t.same(end, ['refused refused', 'no-quorum']);
  t.same(histories.ownEpoch(true), ['done', 'done', 'ok ok', 'null'], 'v was acknowledged, and is lost');
});

t.test('H5: only who has promised the next ballot lets the next write go without asking', async (t) => {
  t.same(histories.ride(), ['held', '1', 'ok', 'ok', 'wx']);
  const broken = await loadHistories(HISTORY_MUTANTS.ride);
  t.same(broken.ride(), ['held', '1', 'ok', 'ok', 'vx'], 'w was acknowledged, and is lost');
});

t.test('H6: a node that restarts again is repaired in another epoch', async (t) => {
  t.same(histories.keptEpoch(false), ['done', 'refused', 'null']);
  t.same(histories.keptEpoch(true), ['done', 'ok', 'null'], 'v was acknowledged, and is lost');
});

t.test('H7: a late end of a repair does not make a member of a node that was rolled back', async (t) => {
  t.same(histories.lateFinish(false), ['done', 'ok', 'no-quorum'], 'v is acknowledged, and 1 is a stranger');
  t.same(histories.lateFinish(true), ['done', 'ok', 'null'], 'v was acknowledged, and is lost');
});

t.test('H8: a node that allows DEBUG is none whose votes count', async (t) => {
  t.same(histories.reload(), ['ok ok', 'no-quorum']);
  const broken = await loadHistories(HISTORY_MUTANTS.reload);
  t.same(broken.reload(), ['ok ok', 'null'], 'v was acknowledged, and is lost');
});
