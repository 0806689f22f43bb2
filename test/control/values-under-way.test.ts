/** Whole values under way: as many at a time as there is room for. */
import t from 'tap';
import { ValuesUnderWay } from '../../src/control/values-under-way.js';

t.test('who has no room waits for its turn, and what is larger than all goes alone', async (t) => {
  const values = new ValuesUnderWay(100);
  const entered: string[] = [];
  const enter = async (name: string, bytes: number) => {
    await values.enter(bytes);
    entered.push(name);
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const all = [enter('a', 60), enter('b', 40), enter('large', 1_000), enter('c', 1)];
  await turn();
  t.same(entered, ['a', 'b']);
  values.leave(60);
  await turn();
  t.same(entered, ['a', 'b'], 'what came later does not overtake it');
  values.leave(40);
  await turn();
  t.same(entered, ['a', 'b', 'large']);
  values.leave(1_000);
  await Promise.all(all);
  t.same(entered, ['a', 'b', 'large', 'c']);
});
