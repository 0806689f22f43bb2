import t from 'tap';
import { Progress } from '../../src/cli/progress.js';

function start(isTTY: boolean) {
  const clock = { nowMs: 100 };
  const written: string[] = [];
  const stream = { isTTY, columns: 20, write: (text: unknown) => written.push(String(text)) > 0 };
  return { clock, written, progress: new Progress(stream, () => clock.nowMs) };
}

t.test('a terminal is shown one line that is written over, and left clean', async (t) => {
  const { clock, written, progress } = start(true);
  progress.say('at once');
  t.same(written, [], 'what is soon done needs no line');
  clock.nowMs += 200;
  progress.say('1 key');
  clock.nowMs += 10;
  progress.say('2 keys');
  clock.nowMs += 200;
  progress.say('3 keys, and words that have no room');
  t.same(written, ['\r\x1b[K1 key', '\r\x1b[K3 keys, and words t']);
  progress.end();
  progress.end();
  t.same(written.slice(2), ['\r\x1b[K']);
});

t.test('a file gets a line every five seconds', async (t) => {
  const { clock, written, progress } = start(false);
  for (let second = 0; second < 12; second++) {
    progress.say(`${second} keys`);
    clock.nowMs += 1000;
  }
  progress.end();
  t.same(written, ['5 keys\n', '10 keys\n']);
});
