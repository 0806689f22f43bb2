/** redis-cli in each of its modes, as its --help has them: with three shards it shows what it shows of one Redis. */
import t from 'tap';
import { startChild } from '../help/child.js';
import { deploy } from '../help/deployment.js';
import { redisPrograms } from '../help/redis-programs.js';
import { connect, encodeWords } from '../help/resp-client.js';
import { runProgram } from '../help/run-program.js';
import { Terminal, terminalObstacle } from '../help/terminal.js';
import { waitFor } from '../help/wait-for.js';

const { cli, env } = await redisPrograms();

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`redis-cli on ${transport}`, async (t) => {
    // --hotkeys asks for a policy that counts how often a key is used.
    const deployment = await deploy(t, { transport, redis: { args: ['--maxmemory-policy', 'allkeys-lfu'] } });
    const run = (words: readonly string[], input = '') =>
      runProgram(cli, ['-p', `${deployment.port}`, ...words], input);
    const client = await connect(t, deployment.port);
    t.beforeEach(async () => {
      await client.command('FLUSHALL');
    });

    t.test('a command', async (t) => {
      t.same(await run(['SET', 'key', 'a value']), { code: 0, output: 'OK\n' });
      t.same(await run(['GET', 'key']), { code: 0, output: 'a value\n' });
      t.same(await run(['-c', 'GET', 'key']), { code: 0, output: 'a value\n' });
      t.same(await run(['-3', 'HGETALL', 'nothing']), { code: 0, output: '\n' });
      t.same(await run(['--csv', 'MGET', 'key', 'nothing']), { code: 0, output: '"a value",NULL\n' });
      t.same(await run(['HSET', 'hash', 'field', 'value']), { code: 0, output: '1\n' });
      t.same(await run(['--json', 'HGETALL', 'hash']), { code: 0, output: '{"field":"value"}\n' });
      t.same(await run(['-r', '3', 'INCR', 'visits']), { code: 0, output: '1\n2\n3\n' });
      t.match(await run(['INFO', 'server']), { code: 0, output: /^redis_version:7/m });
      t.match(await run(['NOSUCHCOMMAND']), { output: /^ERR unknown command 'NOSUCHCOMMAND'/ });
      t.match(await run(['-e', 'INCR', 'key']), { code: 1, output: /^ERR value is not an integer/ });
      t.same(await run(['--quoted-input', 'SET', '"\\x00\\xff"', '1']), { code: 0, output: 'OK\n' });
      t.equal(await client.command('GET', '\x00\xff'), '1');
    });

    t.test('-n works in another database', async (t) => {
      t.same(await run(['-n', '3', 'SET', 'key', 'there']), { code: 0, output: 'OK\n' });
      t.same(await run(['-n', '3', 'GET', 'key']), { code: 0, output: 'there\n' });
      t.same(await run(['GET', 'key']), { code: 0, output: '\n' });
      await client.command('FLUSHALL');
      t.same(await run(['-n', '3', 'DBSIZE']), { code: 0, output: '0\n' });
    });

    t.test('the last argument, or one in the middle, comes from standard input', async (t) => {
      t.same(await run(['-x', 'SET', 'key'], 'a\0b'), { code: 0, output: 'OK\n' });
      t.equal(await client.command('GET', 'key'), 'a\0b');
      t.same(await run(['-X', 'VALUE', 'SET', 'other', 'VALUE', 'EX', '100'], 'c'), { code: 0, output: 'OK\n' });
      t.ok(((await client.command('TTL', 'other')) as number) > 0);
    });

    t.test('monitor shows what other clients ask, until it is ended', async (t) => {
      const child = await startChild(cli, ['-p', `${deployment.port}`, 'monitor'], { env });
      t.teardown(() => child.signal('SIGKILL'));
      await waitFor('redis-cli to monitor', async () => {
        await client.command('ECHO', 'ready');
        return child.output().includes('ready');
      });
      await client.command('SET', 'key', 'a "value"');
      await client.command('EVAL', 'return redis.call("get", KEYS[1])', '1', 'key');
      await waitFor('what others ask', () => child.output().includes('lua'));
      const [ok, ...lines] = child.output().split('\n');
      t.equal(ok, 'OK');
      const [set = '', script = '', call = ''] = lines.filter((line) => !line.includes('ready'));
      t.match(set, /^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "SET" "key" "a \\"value\\""$/);
      t.match(script, /\] "EVAL" "return redis\.call\(\\"get\\", KEYS\[1\]\)" "1" "key"$/);
      t.match(call, /^\d+\.\d{6} \[0 lua\] "get" "key"$/);
      child.signal('SIGINT');
      await child.ended;
    });

    t.test('commands from standard input', async (t) => {
      t.same(await run([], 'SET one 1\nINCR one\nMGET one key\n'), { code: 0, output: 'OK\n2\n2\n\n' });
    });

    t.test('--eval runs the script of a file', async (t) => {
      const script = `${t.testdir({ 'set.lua': 'return redis.call("set", KEYS[1], ARGV[1])' })}/set.lua`;
      t.same(await run(['--eval', script, 'key', ',', 'value']), { code: 0, output: 'OK\n' });
      t.equal(await client.command('GET', 'key'), 'value');
    });

    t.test('--pipe inserts 100,000 keys', async (t) => {
      const count = 100_000;
      const frames = Array.from({ length: count }, (_, number) => encodeWords(['SET', `key:${number}`, `${number}`]));
      const frame = encodeWords(['INCR', 'text']);
      const bytes = Buffer.concat([encodeWords(['SET', 'text', 'x']), ...frames, frame]);
      t.match(await run(['--pipe'], bytes.toString('latin1')), {
        code: 1,
        output: new RegExp(`^ERR value is not an integer.*errors: 1, replies: ${count + 2}$`, 'ms'),
      });
      t.equal(await client.command('DBSIZE'), count + 1);
      for (const number of [0, 1, 49_999, 99_999]) t.equal(await client.command('GET', `key:${number}`), `${number}`);
    });

    t.test('--scan has every key once, --pattern those that match', async (t) => {
      const keys = Array.from({ length: 3_000 }, (_, number) => `key:${number}`);
      await client.command('MSET', ...keys.flatMap((key) => [key, 'value']));
      const scan = async (...words: string[]) => {
        const { code, output } = await run(['--scan', ...words]);
        t.equal(code, 0);
        return output.trim().split('\n').sort();
      };
      t.same(await scan(), [...keys].sort());
      t.same(await scan('--pattern', 'key:*99'), keys.filter((key) => key.endsWith('99')).sort());
    });

    t.test('--bigkeys, --memkeys and --hotkeys find the biggest of each type on whatever shard', async (t) => {
      for (const node of [0, 1, 2]) {
        const [list, hash, text] = ['list', 'hash', 'text'].map((label) => deployment.key(node, label)) as [
          string,
          string,
          string,
        ];
        await client.command('RPUSH', list, ...Array(10 + node).fill('item'));
        for (let field = 0; field < 20 - node; field++) await client.command('HSET', hash, `${field}`, 'value');
        await client.command('SET', text, 'x'.repeat(node === 1 ? 50_000 : 1_000));
      }
      const list = deployment.key(2, 'list');
      const hash = deployment.key(0, 'hash');
      const text = deployment.key(1, 'text');

      const big = await run(['--bigkeys']);
      t.match(big, { code: 0, output: /^Sampled 9 keys in the keyspace!$/m });
      t.match(big.output, `Biggest   list found '"${list}"' has 12 items\n`);
      t.match(big.output, `Biggest   hash found '"${hash}"' has 20 fields\n`);
      t.match(big.output, `Biggest string found '"${text}"' has 50000 bytes\n`);
      t.match(big.output, /^3 lists with 33 items \(33\.33% of keys, avg size 11\.00\)$/m);

      const memory = await run(['--memkeys']);
      t.match(memory, { code: 0, output: /^Sampled 9 keys in the keyspace!$/m });
      t.match(memory.output, new RegExp(`^Biggest string found '"${text}"' has 5\\d{4} bytes$`, 'm'));

      await run(['-r', '1000', 'STRLEN', text]);
      const hot = await run(['--hotkeys']);
      t.match(hot, { code: 0, output: /^Sampled 9 keys in the keyspace!$/m });
      t.match(/^hot key found with counter: \d+\tkeyname: (.*)$/m.exec(hot.output)?.[1], `"${text}"`);
    });

    t.test('--latency measures', async (t) => {
      const { code, output } = await run(['--latency', '--csv', '-i', '0.2']);
      t.equal(code, 0);
      const [min, max, average, count] = output.trim().split(',').map(Number) as [number, number, number, number];
      t.ok(min <= average && average <= max && count > 0, output);
    });
  });
}

t.test('redis-cli in a terminal', { skip: terminalObstacle() ?? false }, async (t) => {
  const deployment = await deploy(t);
  const address = `127\\.0\\.0\\.1:${deployment.port}`;
  const open = (...words: string[]) => Terminal.open(t, [cli, '-p', `${deployment.port}`, ...words], env);

  t.test('interactively', async (t) => {
    const terminal = open();
    const client = await connect(t, deployment.port);
    await terminal.until(new RegExp(`^${address}> $`));
    /** What it shows for a line, between that line and the next prompt. */
    const shows = async (line: string, mode = '') => {
      terminal.enter(line);
      const text = await terminal.until(new RegExp(`\n${address}${mode}> $`));
      return text.slice(text.indexOf('\n') + 1, text.lastIndexOf('\n'));
    };
    t.equal(await shows('SET key "a value"'), 'OK');
    t.equal(await shows('get key'), '"a value"');
    t.equal(await shows('MGET key nothing'), '1) "a value"\n2) (nil)');
    t.equal(await shows('INCR key'), '(error) ERR value is not an integer or out of range');
    t.match(await shows('help get'), /GET key\n *summary: Get the value of a key/);
    t.equal(await shows('2 INCR {key}count'), '(integer) 1\n(integer) 2');
    t.match(await shows('INFO server'), /^redis_version:7/m);

    t.equal(await shows('MULTI', '\\(TX\\)'), 'OK');
    t.equal(await shows('INCR {key}count', '\\(TX\\)'), 'QUEUED');
    t.equal(await shows('GET key', '\\(TX\\)'), 'QUEUED');
    t.equal(await shows('EXEC'), '1) (integer) 3\n2) "a value"');

    t.equal(await shows('WATCH key'), 'OK');
    await client.command('SET', 'key', 'changed');
    t.equal(await shows('MULTI', '\\(TX\\)'), 'OK');
    t.equal(await shows('GET key', '\\(TX\\)'), 'QUEUED');
    t.equal(await shows('EXEC'), '(nil)');

    t.equal(await shows('SELECT 3', '\\[3\\]'), 'OK');
    t.equal(await shows('GET key', '\\[3\\]'), '(nil)');
    t.equal(await shows('SELECT 0'), 'OK');

    const waits = shows('BLPOP list 0');
    await waitFor('the wait', async () => /blocked_clients:1\r/.test(`${await client.command('INFO', 'clients')}`));
    await client.command('RPUSH', 'list', 'item');
    t.match(await waits, /^1\) "list"\n2\) "item"(?:\n\([\d.]+s\))?$/);

    await shows('HSET hash field 1.5');
    t.match(await shows('HELLO 3'), /1# "server" => "redis"/);
    t.equal(await shows('HGETALL hash'), '1# "field" => "1.5"');

    terminal.enter('quit');
    t.equal(await terminal.ended(), 0);
  });

  t.test('SUBSCRIBE shows messages until Ctrl-C', async (t) => {
    const client = await connect(t, deployment.port);
    for (const protocol of ['-2', '-3']) {
      const terminal = open(protocol);
      await terminal.until(new RegExp(`^${address}> $`));
      terminal.enter('SUBSCRIBE news sport');
      await terminal.until(/1\) "subscribe"\n2\) "sport"\n3\) \(integer\) 2\n/);
      for (const channel of ['sport', 'news']) {
        t.equal(await client.command('PUBLISH', channel, `all about ${channel}`), 1);
        await terminal.until(new RegExp(`1\\) "message"\\n2\\) "${channel}"\\n3\\) "all about ${channel}"\\n`));
      }
      terminal.press('\x03');
      await terminal.until(new RegExp(`${address}> $`));
      await waitFor('the end of the subscription', async () => (await client.command('PUBLISH', 'news', '')) === 0);
      terminal.enter('PING');
      await terminal.until(new RegExp(`PONG\n${address}> $`));
      terminal.enter('quit');
      t.equal(await terminal.ended(), 0);
    }
  });

  t.test('CLIENT TRACKING shows what is no longer true', async (t) => {
    const client = await connect(t, deployment.port);
    await client.command('SET', 'tracked', 'old');
    const terminal = open('-3');
    await terminal.until(new RegExp(`^${address}> $`));
    terminal.enter('CLIENT TRACKING ON');
    await terminal.until(/OK\n/);
    terminal.enter('GET tracked');
    await terminal.until(/"old"\n/);
    await client.command('SET', 'tracked', 'new');
    terminal.enter('PING');
    await terminal.until(/-> invalidate: 'tracked'\n/);
    terminal.enter('GET tracked');
    await terminal.until(/"new"\n/);
    terminal.enter('quit');
    t.equal(await terminal.ended(), 0);
  });

  t.test('--latency and --stat go on until Ctrl-C', async (t) => {
    const latency = open('--latency');
    await latency.until(/min: \d+, max: \d+, avg: [\d.]+ \(\d\d samples\)/);
    latency.press('\x03');
    t.not(await latency.ended(), null);

    const stat = open('--stat', '-i', '0.05');
    const header = await stat.until(/^keys +mem +clients +blocked +requests +connections *$/m);
    t.match(header, /data/);
    const client = await connect(t, deployment.port);
    const count = (await client.command('DBSIZE')) as number;
    await stat.until(new RegExp(`^${count} `, 'm'));
    for (let node = 0; node < 3; node++) await client.command('SET', deployment.key(node, 'new'), 'value');
    await stat.until(new RegExp(`^${count + 3} `, 'm'));
    stat.press('\x03');
    t.not(await stat.ended(), null);
  });
});
