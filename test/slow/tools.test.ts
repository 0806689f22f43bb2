/** redis-benchmark as people run it: all its default tests, small and large values, one worker and two. */
import { spawn } from 'node:child_process';
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { redisPrograms } from '../help/redis-programs.js';

const TESTS = 20;

for (const workers of [1, 2]) {
  for (const options of [
    ['-n', '100000'],
    ['-n', '5000', '-P', '64', '-d', '1024'],
    ['-n', '100000', '-P', '16', '-3'],
  ]) {
    t.test(`redis-benchmark ${options.join(' ')} on ${workers} workers runs clean`, async (t) => {
      const deployment = await deploy(t, { workers });
      const { benchmark, env } = await redisPrograms();
      const child = spawn(benchmark, ['-p', `${deployment.port}`, '-q', ...options], {
        env: { ...process.env, ...env },
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      }
      const code = await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
      t.equal(code, 0);
      t.notMatch(output, /error|warning|fail/i);
      const finished = output.split(/[\r\n]+/).filter((line) => /requests per second, p50=/.test(line));
      t.equal(finished.length, TESTS);
      for (const line of finished) t.comment(line.trim());
    });
  }
}
