/** The examples of docs/LOCKS.md do what stands there: those for redis-cli, TypeScript, Python and the shell. */
import { spawn } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { startChild } from '../help/child.js';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import { redisPrograms } from '../help/redis-programs.js';
import { findRedisPy, runPython } from '../help/redis-py.js';
import { connect } from '../help/resp-client.js';
import { testClient } from '../help/test-clients.js';
import { MAIN } from '../help/trial.js';
import { waitFor } from '../help/wait-for.js';

const DOCUMENT = readFileSync('docs/LOCKS.md', 'utf8');
const python = await findRedisPy();

interface Ioredis {
  call(...words: (string | number)[]): Promise<unknown>;
  disconnect(): void;
}

/** Indented blocks with these words in them, without the indentation. */
function blocks(words: RegExp): string[] {
  const all = DOCUMENT.match(/(?:^(?: {4}.*)?\n)+/gm) ?? [];
  return all.map((block) => block.replaceAll(/^ {4}/gm, '').trim()).filter((block) => words.test(block));
}

t.test('the examples', async (t) => {
  const { proxies } = await deployLocks(t, { nodes: 3, ttlMaxMs: 60_000 });
  const { port } = proxies[1];
  const client = await connect(t, port);
  const freeAll = async () => {
    for (const facts of (await client.command('LOCK.LIST')) as unknown[])
      await client.command('LOCK.BREAK', `${fieldsOf(facts).get('name')}`);
  };

  const isAllFree = () =>
    waitFor('all to be free', async () => ((await client.command('LOCK.LIST')) as unknown[]).length === 0);
  /** For what is done with a lock that somebody has. */
  const takeReport = async (example: string) => {
    if (!/ACQUIRE/.test(example)) await acquire(client, 'lock:report', 'TTL', '30000');
  };
  await client.command('CLIENT', 'SETNAME', 'worker-7');

  t.test('redis-cli', async (t) => {
    const { cli, env } = await redisPrograms();
    const examples = blocks(/^\$ redis-cli/m);
    t.equal(examples.length, 9);
    for (const block of examples) {
      const [start, ...commands] = block.split(/^> /m) as [string, ...string[]];
      const options = start.trim().split(' ').slice(2);
      const program = spawn(cli, [...options, '--no-raw', '-p', `${port}`], { env: { ...process.env, ...env } });
      t.teardown(() => program.kill());
      let output = '';
      program.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      let token = '';
      for (const example of commands) {
        const [command, ...reply] = example.trimEnd().split('\n') as [string, ...string[]];
        output = '';
        program.stdin.write(`${command.replace('0b7e…', token)}\n`);
        await waitFor(command, () => output.split('\n').length > reply.length);
        token = /"([0-9a-f]{32})"/.exec(output)?.[1] ?? token;
        const shown = (text: string) =>
          text
            .replaceAll(/ +$/gm, '')
            .replaceAll(/"([0-9a-f]{32}|0b7e…)"/g, '"TOKEN"')
            .replaceAll(/\d{4,}/g, 'N');
        t.equal(shown(output.trimEnd()), shown(reply.join('\n')), command);
      }
      program.stdin.end();
      if (/SESSION/.test(block)) await isAllFree();
      await freeAll();
    }
  });

  t.test('TypeScript', async (t) => {
    const { Redis } = (await testClient('ioredis')).load() as { Redis: new (options: object) => Ioredis };
    const redis = new Redis({ port, host: '127.0.0.1' });
    t.teardown(() => redis.disconnect());
    const done: string[] = [];
    const names = {
      redis,
      text: 'the text',
      console: { log: (text: string) => done.push(text.replaceAll(/\d{4,}/g, 'N')) },
      sql: async (_text: unknown, ...values: unknown[]) => done.push(`sql ${typeof values[1]}`),
      lead: async () => done.push(`lead ${fieldsOf(await client.command('LOCK.INFO', 'lock:leader')).get('state')}`),
      improve: async (text: string) => `${done.push(`improve ${text}`)} times`,
    };
    const [helper = ''] = blocks(/^const fields = /m);
    const examples = blocks(/await \w+\.call\('/);
    t.equal(examples.length, 9);
    await redis.call('SET', 'report', 'draft');
    for (const example of examples) {
      const body = ts.transpileModule(`export {}; { ${helper} ${example} }`, {
        compilerOptions: { target: ts.ScriptTarget.ESNext },
      });
      const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
      await takeReport(example);
      await new AsyncFunction(...Object.keys(names), body.outputText.replace('export {};', ''))(
        ...Object.values(names),
      );
      if (/LOCK\.INFO/.test(example)) await freeAll();
      else await isAllFree();
    }
    t.same(done, [
      'sql number',
      ...['improve first', 'held for N ms more', 'improve second', 'held for N ms more'],
      'held by worker-7, for N ms more',
      'fences N and N',
      'lead held',
      'improve draft',
    ]);
    t.equal((await client.raw('GET', 'report')).toString(), '$7\r\n9 times\r\n');
  });

  t.test('Python', { skip: 'reason' in python ? python.reason : false }, async (t) => {
    if ('reason' in python) return;
    const examples = blocks(/redis\.execute_command\('|holder\.execute_command\('/);
    t.equal(examples.length, 9);
    const before = `import sys, time
from redis import Redis
host, port = '127.0.0.1', int(sys.argv[1])
redis = Redis(host, port, single_connection_client=True)
redis.execute_command('CLIENT', 'SETNAME', 'worker-7')
redis.execute_command('SET', 'report', 'draft')
text = 'the text'
turns = [True, False]

def lead():
    return turns.pop(0)

def improve(text):
    print('improve', text)
    return 'improved'

def write(text, fence):
    print('write', text, fence > 0)

def end():
    deadline = time.time() + 10
    while redis.execute_command('LOCK.LIST') and time.time() < deadline:
        time.sleep(0.01)
    print(len(redis.execute_command('LOCK.LIST')), 'left')
`;
    const take = "redis.execute_command('LOCK.ACQUIRE', 'lock:report', 'TTL', 30000)";
    const free = "redis.execute_command('LOCK.BREAK', 'lock:report')";
    const bodies = examples.flatMap((example) => [
      /ACQUIRE/.test(example) ? '' : take,
      example,
      /LOCK\.INFO/.test(example) ? free : '',
      'end()',
    ]);
    const after = 'print(validity > 0, fence_to > 0, fence_from > 0, turns)';
    const program = [before, ...blocks(/^def fields/m), ...bodies, after].join('\n');
    const { code, output } = await runPython(python, program, [`${port}`]);
    t.same(output.replaceAll(/\d{4,}/g, 'N').split('\n'), [
      ...['write the text True', '0 left'],
      ...['improve first', 'improve second', '0 left'],
      ...["b'held' b'worker-7' N", '0 left'],
      ...['0 left', '0 left', '0 left', '0 left', '0 left'],
      ...["improve b'draft'", '0 left'],
      'True True True []',
      '',
    ]);
    t.equal(code, 0);
    t.equal((await client.raw('GET', 'report')).toString(), '$8\r\nimproved\r\n');
  });

  t.test('from the shell', async (t) => {
    const [block = '', ...others] = blocks(/^ringleader lock/m);
    t.same(others, []);
    const folder = t.testdir({
      bin: { ringleader: `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n` },
      'make-report': '#!/bin/sh\necho "$1 $RINGLEADER_LOCK" >made\n',
      'ringleader.yml': readFileSync(proxies[1].configPath, 'utf8'),
    });
    chmodSync(join(folder, 'bin', 'ringleader'), 0o755);
    chmodSync(join(folder, 'make-report'), 0o755);
    const PATH = `${join(folder, 'bin')}:${process.env['PATH']}`;
    const outputs: string[] = [];
    for (const line of block.split('\n')) {
      const call = line.replace(/redis:\/\/:password@10\.0\.0\.5:6380|10\.0\.0\.5:6380/, `127.0.0.1:${port}`);
      const child = await startChild('sh', ['-c', call], { cwd: folder, env: { PATH } });
      t.same(await child.ended, { code: 0, signal: null }, line);
      outputs.push(child.output());
      if (/lock run/.test(line)) await acquire(client, 'lock:report', 'TTL', '30000');
    }
    t.equal(readFileSync(join(folder, 'made'), 'utf8'), 'daily lock:report\n');
    t.match(outputs[1], /lock:report.*worker-7/s);
    t.match(JSON.parse(outputs[2] as string), {
      name: 'lock:report',
      state: 'held',
      holders: [{ client: 'worker-7' }],
    });
    t.same(await client.command('LOCK.LIST'), [], 'the lock was freed by force');
  });
});
