/** Hints of several nodes are one where all have told, or some have not for a while. */
import t from 'tap';
import { HintGate } from '../../src/control/hint-gate.js';
import { waitFor } from '../help/wait-for.js';

const NODES = ['a', 'b', 'c'];

t.test('it opens when all nodes that tell have told, and anew for the next change', async (t) => {
  let opened = 0;
  const gate = new HintGate<string>(() => opened++);
  gate.onHint('a', NODES);
  gate.onHint('c', NODES);
  gate.onHint('a', NODES);
  t.equal(opened, 0);
  gate.onHint('b', NODES);
  t.equal(opened, 1);
  gate.onHint('b', NODES);
  t.equal(opened, 1);
  gate.onHint('c', ['b', 'c']);
  t.equal(opened, 2, 'one that is away is not waited for');
});

t.test('who does not tell is waited for a little, and what is known otherwise waits for nobody', async (t) => {
  let opened = 0;
  const gate = new HintGate<string>(() => opened++);
  gate.onHint('a', NODES);
  await waitFor('the end of it', () => opened === 1);
  gate.onHint('b', NODES);
  gate.open();
  t.equal(opened, 2);
  gate.onHint('c', NODES);
  gate.onHint('a', NODES);
  t.equal(opened, 2, 'what b told before was told on');
  gate.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(opened, 2);
});
