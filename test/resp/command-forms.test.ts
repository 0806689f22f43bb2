import t from 'tap';
import { isBlockingForm, refusedForm } from '../../src/resp/command-forms.js';
import { COMMANDS, type CommandSpec } from '../../src/resp/commands.js';
import { layOut } from '../help/arguments.js';

function refused(line: string): string | null {
  const args = line.split(' ').map((word) => (word === "''" ? '' : word));
  const { bytes, start, end, count } = layOut(args);
  return refusedForm(specOf(args), bytes, start, end, count);
}

function blocks(line: string): boolean {
  const args = line.split(' ');
  const { bytes, start, end, count } = layOut(args);
  return isBlockingForm(specOf(args), bytes, start, end, count);
}

function specOf(args: readonly string[]): CommandSpec {
  const found = COMMANDS.find((spec) => spec.name === args[0]?.toLowerCase());
  if (found === undefined) throw new Error(`no command ${args[0]}`);
  return found;
}

t.test('reading streams blocks only with BLOCK as an option', async (t) => {
  for (const line of [
    'xread block 0 streams a 0',
    'XREAD COUNT 1 BLOCK 5 STREAMS a 0',
    'xreadgroup group g c block 100 streams a >',
    'xreadgroup GROUP block block NOACK Block 1 streams a >',
    'blpop a 0',
    'bzmpop 0 1 a min',
  ]) {
    t.ok(blocks(line), line);
  }
  for (const line of [
    'xread streams block 0',
    'xread count 1 streams a block 0 block',
    'xreadgroup group block block streams a >',
    'xreadgroup group g block count 1 noack streams block >',
    'lpop a',
  ]) {
    t.notOk(blocks(line), line);
  }
});

t.test('sorting by patterns that read other keys is refused, and nothing else of it', async (t) => {
  for (const line of [
    'sort a by weight_*',
    'sort a BY *',
    'sort_ro a get # get data_*->field',
    'sort a limit 0 10 get x* desc',
    'sort a store b by w*',
    'sort by by by* store get',
  ]) {
    t.match(
      refused(line),
      /^ERR SORT(_RO)? with patterns of BY or GET is not supported by this proxy inside MULTI/,
      line,
    );
  }
  for (const line of [
    'sort a',
    'sort a by nosort get # desc',
    'sort a by nosort get plain',
    'sort a limit 0 10 alpha store *',
    'sort * store by*',
    'sort a store get limit 1 2',
    'sort a by',
    'sort a get',
  ]) {
    t.equal(refused(line), null, line);
  }
});

t.test('what two nodes cannot share, or would lock the proxy out, is not set on all of them', async (t) => {
  const set = (...words: string[]) => {
    const { bytes, start, end, count } = layOut(['CONFIG', 'SET', ...words]);
    return refusedForm(COMMANDS.find(({ name }) => name === 'config|set') as CommandSpec, bytes, start, end, count);
  };
  const ofOne = 'it is about one node; connect to the node itself';
  const ofConnections =
    "it is about the nodes' connections, which are the proxy's: set it in the nodes' own configuration";
  const ofUsers =
    "users and passwords of the nodes are set in their own configuration; those of clients are `auth` in the proxy's";
  for (const [names, why] of [
    [['port', 'PORT', 'tls-port', 'bind', 'dir', 'dbfilename', 'replica-announce-ip'], ofOne],
    [['maxclients', 'timeout', 'Timeout', 'protected-mode', 'tls-auth-clients', 'tls-cert-file'], ofConnections],
    [['requirepass', 'masterauth', 'MASTERUSER', 'primaryauth', 'tls-key-file-pass'], ofUsers],
  ] as const) {
    for (const name of names)
      t.equal(
        set('maxmemory', '1', name, 'x'),
        `ERR CONFIG SET ${name.toLowerCase()} is not supported by this proxy: ${why}`,
      );
  }
  for (const words of [['maxmemory', 'port'], ['tcp-keepalive', '0', 'hz', '10'], ['maxmemory'], ['ports', '1']]) {
    t.equal(set(...words), null, words.join(' '));
  }
});

t.test('only commands that say so have forms that are refused', async (t) => {
  t.strictSame(
    COMMANDS.filter((spec) => spec.refusable).map((spec) => spec.name),
    ['config|set', 'debug', 'sort', 'sort_ro'],
  );
});
