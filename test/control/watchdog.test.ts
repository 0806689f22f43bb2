import t from 'tap';
import { Watchdog } from '../../src/control/watchdog.js';

t.test('a worker that is silent for so many looks has stalled, one that beats now and then has not', async (t) => {
  const watchdog = new Watchdog();
  const looks = Array.from({ length: 8 }, (_, look) => {
    return [watchdog.isStalled(0, 7, 5), watchdog.isStalled(1, Math.floor(look / 4), 5)];
  });
  t.same(
    looks.map(([silent]) => silent),
    [false, false, false, false, false, true, true, true],
  );
  t.ok(looks.every(([, beats]) => beats === false));
});

t.test('a worker that was started anew is watched from its start', async (t) => {
  const watchdog = new Watchdog();
  for (let look = 0; look < 3; look++) t.notOk(watchdog.isStalled(0, 7, 3));
  watchdog.reset(0);
  for (let look = 0; look < 3; look++) t.notOk(watchdog.isStalled(0, 7, 3));
  t.ok(watchdog.isStalled(0, 7, 3));
});

t.test('fewer looks than before may be asked for', async (t) => {
  const watchdog = new Watchdog();
  for (let look = 0; look < 4; look++) t.notOk(watchdog.isStalled(0, 7, 10));
  t.ok(watchdog.isStalled(0, 7, 2));
});
