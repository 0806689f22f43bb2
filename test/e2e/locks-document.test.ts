/** The examples of docs/LOCKS.md do what stands there: those for redis-cli, TypeScript and Python. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { fieldsOf } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import { redisPrograms } from '../help/redis-programs.js';
import { connect } from '../help/resp-client.js';
import { runProgram } from '../help/run-program.js';
import { testClient } from '../help/test-clients.js';
import { waitFor } from '../help/wait-for.js';

const DOCUMENT = readFileSync('docs/LOCKS.md', 'utf8');
const PYTHON = spawnSync('python3', ['--version']).status === 0;

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

  t.test('redis-cli', async (t) => {
    const [block, ...others] = blocks(/^\$ redis-cli -3$/m);
    t.same(others, []);
    const { cli, env } = await redisPrograms();
    const program = spawn(cli, ['-3', '--no-raw', '-p', `${port}`], { env: { ...process.env, ...env } });
    t.teardown(() => program.kill());
    let output = '';
    program.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    let token = '';
    for (const example of (block as string).split(/^> /m).slice(1)) {
      const [command, ...reply] = example.trimEnd().split('\n') as [string, ...string[]];
      output = '';
      program.stdin.write(`${command.replace('0b7e…', token)}\n`);
      await waitFor(command, () => output.split('\n').length > reply.length);
      token = /"([0-9a-f]{32})"/.exec(output)?.[1] ?? token;
      const shown = (text: string) =>
        text
          .replaceAll(/ +$/gm, '')
          .replaceAll(/"([0-9a-f]{32}|0b7e…)"/g, '"TOKEN"')
          .replaceAll(/\d{5,}/g, 'N');
      t.equal(shown(output.trimEnd()), shown(reply.join('\n')), command);
    }
    program.stdin.end();
    await freeAll();
  });

  t.test('TypeScript', async (t) => {
    const { Redis } = (await testClient('ioredis')).load() as { Redis: new (options: object) => Ioredis };
    const redis = new Redis({ port, host: '127.0.0.1' });
    t.teardown(() => redis.disconnect());
    const done: string[] = [];
    const names = {
      redis,
      text: 'the text',
      sql: async (_text: unknown, ...values: unknown[]) => done.push(`sql ${typeof values[1]}`),
      lead: async () => done.push(`lead ${fieldsOf(await client.command('LOCK.INFO', 'lock:leader')).get('state')}`),
      improve: async (text: unknown) => `${done.push('improve')} ${text}`,
    };
    const examples = blocks(/await \w+\.call\('/);
    t.ok(examples.length >= 3, `${examples.length} examples`);
    for (const example of examples) {
      const body = ts.transpileModule(`export {}; { ${example} }`, {
        compilerOptions: { target: ts.ScriptTarget.ESNext },
      });
      const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
      await new AsyncFunction(...Object.keys(names), body.outputText.replace('export {};', ''))(
        ...Object.values(names),
      );
      if (/LOCK\.RELEASE|quit/.test(example)) t.same(await client.command('LOCK.LIST'), [], 'nothing is left');
      await freeAll();
    }
    t.same(done, ['sql number', 'lead held', 'improve']);
  });

  t.test('Python', { skip: PYTHON ? false : 'there is no python3' }, async (t) => {
    const examples = blocks(/redis\.execute_command\('/);
    t.ok(examples.length >= 3, `${examples.length} examples`);
    const before = `import sys
sys.path.insert(0, sys.argv[1])
from plain_redis import Redis
redis = Redis(int(sys.argv[2]))
text = 'the text'
`;
    const after = "\nprint(lock[b'fence'] > 0, fence_from > 0, fence_to > 0)\n";
    const program = [before, ...examples, after].join('\n');
    const { code, output } = await runProgram('python3', ['-c', program, join('test', 'help'), `${port}`]);
    t.same([code, output], [0, 'True True True\n']);
    t.equal((await client.raw('GET', 'report')).toString(), '$8\r\nthe text\r\n');
    await freeAll();
  });
});
