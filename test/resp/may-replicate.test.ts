import t from 'tap';
import { COMMANDS } from '../../src/resp/commands.js';
import { mayReplicate } from '../../src/resp/may-replicate.js';

const NONE = new Uint8Array(0);
const NOWHERE = new Int32Array(8);

t.test('what writes may replicate, what only reads does not, but for those few that Redis says so of', async (t) => {
  const both = COMMANDS.filter((spec) => spec.readonly && mayReplicate(spec, NONE, NOWHERE, NOWHERE));
  t.same(
    both.map(({ name }) => name),
    ['pfcount'],
  );
  const names = COMMANDS.filter((spec) => mayReplicate(spec, NONE, NOWHERE, NOWHERE)).map(({ name }) => name);
  for (const name of 'set del flushall getex spop sort restore eval evalsha fcall publish spublish'.split(' ')) {
    t.ok(names.includes(name), name);
  }
  for (const name of 'get eval_ro evalsha_ro fcall_ro sort_ro script|load multi exec subscribe config|set'.split(' ')) {
    t.notOk(names.includes(name), name);
  }
});
