/** That the proxy's own scripts are told from those of clients. */
import t from 'tap';
import { scriptBegin } from '../../src/backend/node-monitor.js';
import { SCRIPTS_OF_LOCKS } from '../../src/lock/own-scripts.js';
import { GATHER_SCRIPTS, PLACE_SCRIPT } from '../../src/proxy/gather-scripts.js';
import { showWords } from '../../src/proxy/monitor-line.js';
import { isOwnScript } from '../../src/proxy/own-scripts.js';
import { REPLICA_SCRIPTS } from '../../src/replica/own-scripts.js';
import { ACCEPT_ALL } from '../../src/replica/scripts.js';
import { listed, sentScripts } from '../help/node-scripts.js';
import { readSources } from '../help/sources.js';

function begin(text: string): string {
  return scriptBegin(showWords([Buffer.from(text)]).slice(1));
}

t.test("the proxy's own scripts are known by digest and by text, and a client's are not", async (t) => {
  const all = [...REPLICA_SCRIPTS, ...SCRIPTS_OF_LOCKS, ...GATHER_SCRIPTS];
  for (const text of [ACCEPT_ALL.sha, ACCEPT_ALL.source, PLACE_SCRIPT, ...all])
    t.ok(isOwnScript(begin(text)), text.slice(0, 40));
  for (const text of ['', 'return 1', 'x'.repeat(200), 'f'.repeat(40), '#!lua flags=allow-oom\nreturn 1'])
    t.notOk(isOwnScript(begin(text)), text.slice(0, 40));
});

t.test('every script that is sent to nodes is known as the proxy’s own', async (t) => {
  const sources = readSources();
  const sent = sentScripts(sources);
  const known = listed(sources, 'proxy/own-scripts.ts');
  t.ok(sent.size > 30, `${sent.size} were found`);
  t.same(
    [...sent].filter((script) => !known.has(script)),
    [],
  );
});

t.test('how scripts are found in the source', async (t) => {
  const sources = new Map([
    [
      'a/texts.ts',
      "const PIECE = `redis.call('GET')`;\nexport const WHOLE = `${PIECE} return`;\nexport const NONE = 'x';",
    ],
    [
      'a/sender.ts',
      "import { WHOLE as TEXT } from './texts.js';\nconst OWN = script(`redis.pcall(1)`);\nsend(TEXT, OWN.sha);",
    ],
    ['b/lists.ts', "import { WHOLE } from '../a/texts.js';\nconst SOME = [WHOLE];\nexport const ALL = [...SOME];"],
  ]);
  t.same(sentScripts(sources), new Set(['a/texts.ts WHOLE', 'a/sender.ts OWN']));
  t.ok(listed(sources, 'b/lists.ts').has('a/texts.ts WHOLE'));
  t.notOk(listed(sources, 'b/lists.ts').has('a/sender.ts OWN'));
});
