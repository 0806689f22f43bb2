/** Imports point down, the two planes do not know each other, and no file needs itself. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import t from 'tap';
import { arrowFaults, type Rules } from './help/arrows.js';
import { readSources } from './help/sources.js';

const RULES: Rules = {
  ranks: {
    base: 0,
    'messages.ts': 1,
    transport: 2,
    resp: 2,
    // Who may do what: made of the command table.
    acl: 3,
    routing: 3,
    // Knows what can be placed, and by which patterns.
    'config.ts': 4,
    backend: 4,
    replica: 5,
    coord: 6,
    lock: 6,
    proxy: 7,
    control: 7,
    admin: 8,
    'worker.ts': 9,
    cli: 9,
    'main.ts': 10,
  },
  planes: {
    base: 'shared',
    'messages.ts': 'shared',
    // Frames and the command table: pure, and what nodes are told is the same from either plane.
    resp: 'shared',
    // Rules of users: the control plane checks and keeps them, workers go by them.
    acl: 'shared',
    // Pure placement: the control plane makes topologies, the data plane routes by them.
    routing: 'shared',
    // The protocol: workers write and read by it, the control plane repairs by it.
    replica: 'shared',
    'replica/replicas.ts': 'data',
    'replica/accept-batch.ts': 'data',
    'replica/ask.ts': 'data',
    'replica/voter.ts': 'data',
    'replica/wakes.ts': 'data',

    lock: 'data',
    transport: 'data',
    backend: 'data',
    proxy: 'data',
    'worker.ts': 'data',

    coord: 'control',
    'config.ts': 'control',
    control: 'control',
    admin: 'control',
    cli: 'control',
    'main.ts': 'control',

    // Replicated keys are cared for by connections of the main thread's own.
    'backend/client.ts': 'control',

    // What outlives a worker: the main thread opens listeners, and closes what a dead worker left behind. With the words
    // that this takes: system calls on an arena, a driver's name and its errors.
    'transport/choose.ts': 'shared',
    'transport/descriptors.ts': 'shared',
    'transport/handover.ts': 'shared',
    'transport/listener.ts': 'shared',
    'transport/system.ts': 'shared',
    'transport/transport.ts': 'shared',
    'transport/output.ts': 'shared',
    'transport/arena.ts': 'shared',
    // The main thread tries whether io_uring does what the driver relies on.
    'transport/uring-trial.ts': 'shared',
    'transport/uring-keys.ts': 'shared',
    'transport/uring-numbers.ts': 'shared',
    'transport/ring.ts': 'shared',
    'transport/provided-buffers.ts': 'shared',
    'transport/inbox.ts': 'shared',
  },
};

t.test('the imports in src/ keep to ranks and planes, without a cycle', async (t) => {
  const sources = readSources();
  t.ok(sources.has('worker.ts') && sources.has('main.ts'), 'the sources were found');
  t.same(arrowFaults(sources, RULES), []);
});

t.test('every place that has a rank has files', async (t) => {
  const places = new Set([...readSources().keys()].map((path) => path.split('/')[0]));
  t.same(
    Object.keys(RULES.ranks).filter((place) => !places.has(place)),
    [],
  );
});

t.test(
  'of packages a worker loads none but what calls the system: each has a memory and a start of its own',
  async (t) => {
    const loaded = new Set<string>();
    const packages = new Set<string>();
    const load = (path: string): void => {
      if (loaded.has(path)) return;
      loaded.add(path);
      // As compiled, where imports of types are gone.
      const text = readFileSync(path, 'utf8');
      for (const [, name = ''] of text.matchAll(/^(?:import|export)\s(?:[^'";]*?\sfrom\s)?\s*'([^']+)'/gm)) {
        if (name.startsWith('.')) load(resolve(dirname(path), name));
        else if (!name.startsWith('node:')) packages.add(name);
      }
    };
    load(resolve('dist/src/worker.js'));
    t.ok(loaded.size > 100, `${loaded.size} files`);
    t.same([...packages], []);
  },
);

const MADE_UP: Rules = {
  ranks: { base: 0, left: 1, right: 1, top: 2, 'main.ts': 3 },
  planes: {
    base: 'shared',
    left: 'data',
    right: 'control',
    top: 'data',
    'main.ts': 'control',
    'left/seam.ts': 'shared',
  },
};
const SEAM = { 'left/seam.ts': '' };

/** Files that break a rule, and what is said; the seam is there in all of them. */
const BROKEN: [string, Record<string, string>, RegExp][] = [
  [
    'an import that points up',
    { 'base/a.ts': "import { b } from '../left/b.js';", 'left/b.ts': '' },
    /left is not below base/,
  ],
  [
    'an import that points sideways',
    { 'left/a.ts': "import '../right/b.js';", 'right/b.ts': '' },
    /right is not below left/,
  ],
  [
    'a type import counts',
    { 'base/a.ts': "import type { B } from '../top/b.js';", 'top/b.ts': '' },
    /top is not below/,
  ],
  ['an export counts', { 'base/a.ts': "export * from '../left/b.js';", 'left/b.ts': '' }, /left is not below base/],
  ['import() counts', { 'base/a.ts': "await import('../left/b.js');", 'left/b.ts': '' }, /left is not below base/],
  [
    'an inline type counts',
    { 'base/a.ts': "let b: import('../left/b.js').B;", 'left/b.ts': '' },
    /left is not below base/,
  ],
  [
    'a folder may not import a file of src/ above it',
    { 'top/a.ts': "import '../main.js';", 'main.ts': '' },
    /main.ts is not below/,
  ],
  [
    'planes that import each other',
    { 'main.ts': "import './left/b.js';", 'left/b.ts': '' },
    /planes do not import each other/,
  ],
  [
    'a shared file that needs one plane',
    { 'left/seam.ts': "import './b.js';", 'left/b.ts': '' },
    /seam.ts \(shared\) imports left/,
  ],
  ['a folder without a rank', { 'new/a.ts': '' }, /new has no rank/],
  ['a file in src/ without a rank', { 'new.ts': '' }, /new.ts has no rank/],
  ['folders within folders', { 'base/deep/a.ts': '' }, /deeper than one folder/],
  ['a file outside src/', { 'base/a.ts': "import '../../test/b.js';" }, /not in src/],
  [
    'a cycle of two',
    { 'base/a.ts': "import './b.js';", 'base/b.ts': "import './a.js';" },
    /a cycle: base\/a.ts imports base\/b.ts imports/,
  ],
  ['a file that imports itself', { 'base/a.ts': "import './a.js';" }, /a cycle: base\/a.ts imports base\/a.ts/],
  [
    'a cycle of three that is entered from outside',
    {
      'base/0.ts': "import './a.js';",
      'base/a.ts': "import './b.js';",
      'base/b.ts': "import './c.js';",
      'base/c.ts': "import './a.js';",
    },
    /^a cycle: base\/a.ts imports base\/b.ts imports base\/c.ts imports base\/a.ts$/,
  ],
];

for (const [what, files, says] of BROKEN) {
  t.test(`the checker sees ${what}`, async (t) => {
    const faults = arrowFaults(new Map(Object.entries({ ...SEAM, ...files })), MADE_UP);
    t.equal(faults.length, 1, faults.join('\n'));
    t.match(faults[0], says);
  });
}

t.test('the checker sees a rule about a file that is gone', async (t) => {
  t.match(arrowFaults(new Map(), MADE_UP), [/the rules name left\/seam.ts, which does not exist/]);
});

t.test('the checker has nothing against imports that point down, the seam, packages, and comments', async (t) => {
  const files = {
    ...SEAM,
    'base/a.ts': "import { readFile } from 'node:fs'; import zod from 'zod'; // import '../left/b.js'",
    'left/b.ts': "import { a } from '../base/a.js'; import './seam.js'; const text = \"import '../right/c.js'\";",
    'right/c.ts': "import '../base/a.js';",
    'top/d.ts': "import '../left/b.js';",
    'main.ts': "import './right/c.js'; import './left/seam.js';",
  };
  t.same(arrowFaults(new Map(Object.entries(files)), MADE_UP), []);
});
