import pino from 'pino';
import t from 'tap';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import { NodeHealth } from '../../src/control/health.js';
import type { TopologySnapshot } from '../../src/messages.js';

const TOPOLOGY: TopologySnapshot = {
  version: 1,
  nodes: ['a', 'b'].map((name, index) => ({
    index,
    name,
    pool: 'main',
    label: name,
    weight: 1,
    address: { kind: 'tcp', host: '127.0.0.1', port: 7000 + index },
    username: 'user',
    password: 'secret',
    limits: DEFAULT_NODE_LIMITS,
  })),
  services: [],
};

function watch(): { health: NodeHealth; events: string[]; text: () => string } {
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
  return {
    health: new NodeHealth(log, TOPOLOGY),
    get events() {
      return lines.map((line) => {
        const { msg, node } = JSON.parse(line);
        return `${msg} ${node}`;
      });
    },
    text: () => lines.join(''),
  };
}

t.test('a node is up when one worker reaches it, down when none does, and each change is one line', async (t) => {
  const watched = watch();
  const { health } = watched;
  health.report(0, 'main', 'a', true, '7.0.15');
  health.report(1, 'main', 'a', true, '7.0.15');
  t.same(watched.events, ['node-up a']);
  health.report(0, 'main', 'a', false, 'refused');
  t.same(watched.events, ['node-up a'], 'the other worker still reaches it');
  health.report(1, 'main', 'a', false, 'refused');
  t.same(watched.events, ['node-up a', 'node-down a']);
  health.report(0, 'main', 'a', false, 'refused');
  t.equal(watched.events.length, 2, 'the same reason is not said twice');
  health.report(0, 'main', 'a', false, 'no route');
  t.equal(watched.events.length, 3, 'another reason is said');
  health.report(1, 'main', 'a', true, '7.0.15');
  t.equal(watched.events.at(-1), 'node-up a');
});

t.test('what a worker that ended had seen counts no more', async (t) => {
  const watched = watch();
  const { health } = watched;
  health.report(0, 'main', 'b', true, '7.0.15');
  health.forget(0);
  health.report(1, 'main', 'b', false, 'refused');
  t.equal(watched.events.at(-1), 'node-down b');
});

t.test('a node of another version than the command table is said once it is up', async (t) => {
  const watched = watch();
  const { health } = watched;
  health.report(0, 'main', 'a', true, '6.2.1');
  t.same(watched.events, ['node-up a', 'node-version a']);
  health.report(0, 'main', 'a', false, 'refused');
  health.report(0, 'main', 'a', true, '6.2.1');
  t.same(watched.events.slice(2), ['node-down a', 'node-up a'], 'and not again');
  health.report(0, 'main', 'a', false, 'refused');
  health.report(0, 'main', 'a', true, '7.2.4');
  t.same(watched.events.slice(4), ['node-down a', 'node-up a', 'node-version a'], 'but of another one');
});

t.test('no line holds a password', async (t) => {
  const watched = watch();
  watched.health.report(0, 'main', 'a', false, 'refused');
  watched.health.report(0, 'main', 'a', true, '7.0.15');
  t.notMatch(watched.text(), 'secret');
});
