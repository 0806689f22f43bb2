import t from 'tap';
import { Metrics, metricsMemory, readWorkerMetrics } from '../../src/base/metrics.js';
import { CommandRates } from '../../src/control/command-rates.js';

t.test('rates are those of each worker over the last samples', async (t) => {
  const memory = metricsMemory(2);
  const workers = [0, 1].map((index) => new Metrics(memory, index));
  let nowMs = 0;
  const rates = new CommandRates(memory, 2, () => nowMs);
  t.teardown(() => rates.stop());
  t.same(rates.rates(), [0, 0], 'nothing is known yet');
  for (const [first, second] of [
    [100, 0],
    [300, 50],
    [300, 50],
  ] as const) {
    nowMs += 1_000;
    for (const [index, count] of [first, second].entries()) {
      const worker = workers[index] as Metrics;
      worker.counts.commands = count;
      worker.publish();
    }
    rates.sample();
  }
  t.same(rates.rates(), [100, 25], 'the oldest sample is forgotten');
  t.equal(readWorkerMetrics(memory, 1).commands, 50);
});
