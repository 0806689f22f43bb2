/** redis-benchmark, with what people give it. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { redisPrograms } from '../help/redis-programs.js';
import { runProgram } from '../help/run-program.js';

/** What redis-benchmark runs unless told otherwise. */
const BENCHMARKS = [
  ...['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', 'LPUSH', 'RPUSH', 'LPOP', 'RPOP', 'SADD', 'HSET', 'SPOP'],
  ...['ZADD', 'ZPOPMIN', 'LPUSH (needed to benchmark LRANGE)', 'LRANGE_100 (first 100 elements)'],
  ...['LRANGE_300 (first 300 elements)', 'LRANGE_500 (first 500 elements)', 'LRANGE_600 (first 600 elements)'],
  'MSET (10 keys)',
];

/** With 1,024 bytes a reply of LRANGE_600 has 614 KB: 64 of them for each of 5 clients are 200 MB under way. */
const DEEP_AND_WIDE = [
  [],
  ['-c', '5', '-P', '64', '-d', '1024', '-n', '320'],
  ['-3', '-c', '20', '-P', '16', '-r', '10000', '--threads', '2'],
];
const BENCHMARK_OPTIONS = { io_uring: DEEP_AND_WIDE, epoll: DEEP_AND_WIDE, node: [[]] };

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  for (const options of BENCHMARK_OPTIONS[transport]) {
    t.test(`redis-benchmark ${options.join(' ')} on ${transport} runs clean`, async (t) => {
      const deployment = await deploy(t, { transport });
      const { benchmark } = await redisPrograms();
      const words = ['-p', `${deployment.port}`, '-q', '-n', '1000', ...options];
      const { code, output } = await runProgram(benchmark, words);
      t.equal(code, 0);
      const lines = output.split(/[\r\n]+/).map((line) => line.trim());
      const finished = lines.filter((line) => /requests per second, p50=/.test(line));
      t.same(
        finished.map((line) => line.slice(0, line.indexOf(': '))),
        BENCHMARKS,
      );
      t.notMatch(output, /error|warning|fail/i);
    });
  }
}
