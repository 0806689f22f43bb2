import pino, { type Logger } from 'pino';
import t from 'tap';
import { LogRelay } from '../../src/control/log-relay.js';

/** A logger that keeps its lines. */
function keeper(): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  return { log, lines };
}

t.test('equal lines are written once and then counted, whichever client caused them', async (t) => {
  const { log, lines } = keeper();
  const relay = new LogRelay(log);
  for (let n = 0; n < 1_000; n++) relay.write('warn', 'session-closed', { client: `127.0.0.1:${n}`, reason: 'idle' });
  t.equal(lines.length, 1);
  t.match(lines[0], { level: 40, msg: 'session-closed', client: '127.0.0.1:0', reason: 'idle' });
  relay.stop();
  t.equal(lines.length, 2);
  t.match(lines[1], { msg: 'session-closed', repeated: 999 });
});

t.test('different lines are all written', async (t) => {
  const { log, lines } = keeper();
  const relay = new LogRelay(log);
  relay.write('warn', 'session-closed', { reason: 'idle' });
  relay.write('warn', 'session-closed', { reason: 'memory' });
  relay.write('error', 'session-closed', { reason: 'idle' });
  relay.stop();
  t.equal(lines.length, 3, 'and none is repeated at the end');
});

t.test('after the count was written a line is written again', async (t) => {
  const { log, lines } = keeper();
  const relay = new LogRelay(log);
  relay.write('info', 'a', {});
  relay.flush();
  relay.write('info', 'a', {});
  relay.stop();
  t.equal(lines.length, 2);
});

t.test('a storm of different lines loses none, and only so many are remembered', async (t) => {
  const { log, lines } = keeper();
  const relay = new LogRelay(log);
  for (let n = 0; n < 3_000; n++) relay.write('info', 'a', { n });
  relay.stop();
  t.equal(lines.length, 3_000);
});
