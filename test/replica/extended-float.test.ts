import t from 'tap';
import { addDecimals } from '../../src/replica/extended-float.js';
import { randomFromSeed } from '../help/random.js';
import { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';

const ROUNDS = 4000;

t.test('decimals are added as Redis adds them, to the last digit', { skip: process.arch !== 'x64' }, async (t) => {
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const client = await RespClient.connect(server.port);
  t.teardown(() => client.close());
  const random = randomFromSeed((text) => t.comment(text));
  const digits = (max: number) => Array.from({ length: 1 + random.below(max) }, () => random.below(10)).join('');
  const decimal = (): string => {
    const sign = random.pick(['', '', '-', '+']);
    const point = random.pick(['', '.', `.${digits(25)}`, `.${'0'.repeat(random.below(20))}${digits(4)}`]);
    const power = random.chance(30)
      ? `${random.pick(['e', 'E'])}${random.pick(['', '-', '+'])}${random.below(60)}`
      : '';
    return random.chance(5)
      ? random.pick(['', '.', '-', '1e', 'e5', '1.2.3', ' 1', '1 ', '0', '-0', '--1', '1e+', '١'])
      : `${sign}${digits(random.pick([1, 5, 20, 40]))}${point}${power}`;
  };
  const edges: [string, string][] = [
    ['18446744073709551615', '0.5'],
    ['18446744073709551615', '1'],
    ['9223372036854775808', '0.5'],
    ['36893488147419103231', '0'],
    ['36893488147419103233', '0'],
    ['0.1', '-0.1'],
    ['-0', '-0'],
    ['1e-18', '0'],
    ['5e-18', '0'],
    ['-4e-18', '0'],
    ['0.000000000000000005', '0.00000000000000001'],
    ['1e900', '-1e-900'],
  ];
  for (let round = 0; round < ROUNDS; round++) {
    const [one, other] = edges[round] ?? [decimal(), decimal()];
    await client.command('SET', 'k', one);
    const expected = (await client.raw('INCRBYFLOAT', 'k', other)).toString('latin1');
    const sum = addDecimals(one, other);
    const text = sum.kind === 'sum' ? `$${sum.text.length}\r\n${sum.text}\r\n` : sum.kind;
    const isSame = expected.startsWith('-ERR value is not') ? text === 'invalid' : text === expected;
    if (!isSame) {
      t.equal(text, expected, `${JSON.stringify(one)} + ${JSON.stringify(other)}`);
      return;
    }
  }
  t.pass(`${ROUNDS} sums`);
});

t.test('what only C reads as a number is left to a node', async (t) => {
  for (const text of ['0x10', '-0X1p3', 'inf', '-Infinity', 'nan', '1e5000', '1'.repeat(500)]) {
    t.same(addDecimals('1', text), { kind: 'unsure' }, text.slice(0, 20));
    t.same(addDecimals(text, '1'), { kind: 'unsure' }, text.slice(0, 20));
  }
});
