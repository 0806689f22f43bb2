import t from 'tap';
import { Hangups } from '../../src/cli/hangups.js';
import { waitFor } from '../help/wait-for.js';

t.test('signals are handled one at a time, those that come meanwhile by one more, and early ones later', async (t) => {
  const hangups = new Hangups();
  t.teardown(() => process.removeAllListeners('SIGHUP'));
  const hangUp = () => process.emit('SIGHUP');
  hangUp();
  hangUp();
  const handled: (() => void)[] = [];
  hangups.handle(() => new Promise((resolve) => handled.push(resolve)));
  t.equal(handled.length, 1, 'what came before there was a handler');
  for (let count = 0; count < 5; count++) hangUp();
  t.equal(handled.length, 1);
  handled[0]?.();
  await waitFor('one more', () => handled.length === 2);
  handled[1]?.();
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(handled.length, 2);
  hangUp();
  t.equal(handled.length, 3);
});
