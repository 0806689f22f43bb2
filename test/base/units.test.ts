import t from 'tap';
import {
  formatBytes,
  formatMilliseconds,
  meantQuantity,
  parseBytes,
  parseMilliseconds,
  type QuantityKind,
} from '../../src/base/units.js';

t.test('sizes are numbers of bytes, or have a unit as in redis.conf', async (t) => {
  const table: [unknown, number | null][] = [
    [0, 0],
    [512, 512],
    ['1b', 1],
    ['1k', 1_000],
    ['1kb', 1_024],
    ['64mb', 64 * 1_024 * 1_024],
    ['64MB', 64 * 1_024 * 1_024],
    ['2m', 2_000_000],
    ['1g', 1e9],
    ['1.5gb', 1.5 * 1_024 ** 3],
    ['10 mb', 10 * 1_024 * 1_024],
    ['64', 64],
    ['64 ', null],
    ['1.5', null],
    ['', null],
    ['mb', null],
    ['64tb', null],
    ['-1mb', null],
    ['1.0001b', null],
    ['64mb ', null],
    ['99999999999gb', null],
    [-1, null],
    [1.5, null],
    [Number.NaN, null],
    [Number.POSITIVE_INFINITY, null],
    [null, null],
    [undefined, null],
    [true, null],
    [[1], null],
    ['toString', null],
    ['1constructor', null],
  ];
  for (const [written, bytes] of table) t.equal(parseBytes(written), bytes, String(written));
});

t.test('times are numbers of milliseconds, or have a unit', async (t) => {
  const table: [unknown, number | null][] = [
    [0, 0],
    [250, 250],
    ['500ms', 500],
    ['2s', 2_000],
    ['1.5s', 1_500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['2 s', 2_000],
    ['2S', 2_000],
    ['2', 2],
    ['2d', null],
    ['2sec', null],
    ['0.5ms', null],
    ['s', null],
    ['-2s', null],
    [-1, null],
    [{}, null],
  ];
  for (const [written, milliseconds] of table) t.equal(parseMilliseconds(written), milliseconds, String(written));
});

t.test('quantities are written in the largest unit that divides them', async (t) => {
  for (const [bytes, text] of [
    [0, '0'],
    [1, '1'],
    [1_000, '1000'],
    [1_024, '1kb'],
    [2 ** 26, '64mb'],
    [2 ** 31, '2gb'],
  ]) {
    t.equal(formatBytes(bytes as number), text);
    t.equal(parseBytes(text), bytes);
  }
  for (const [ms, text] of [
    [0, '0'],
    [1, '1ms'],
    [1_500, '1500ms'],
    [2_000, '2s'],
    [120_000, '2m'],
    [86_400_000, '24h'],
  ]) {
    t.equal(formatMilliseconds(ms as number), text);
    t.equal(parseMilliseconds(text), ms);
  }
});

t.test('what was meant by a quantity that is written otherwise', async (t) => {
  const table: [string, QuantityKind, string | null][] = [
    ['5 seconds', 'milliseconds', '5s'],
    ['5sec', 'milliseconds', '5s'],
    ['2 days', 'milliseconds', '48h'],
    ['1.5 min', 'milliseconds', '1.5m'],
    ['500 msec', 'milliseconds', '500ms'],
    ['1_000', 'milliseconds', '1000'],
    ['5 mb', 'milliseconds', null],
    ['soon', 'milliseconds', null],
    ['64MiB', 'bytes', '64mb'],
    ['1 TB', 'bytes', '1024gb'],
    ['5 seconds', 'bytes', null],
    ['1,000', 'count', '1000'],
    ['10k', 'count', '10000'],
    ['1.5', 'count', null],
    ['10%', 'count', null],
  ];
  for (const [text, kind, meant] of table) t.equal(meantQuantity(text, kind), meant, `${text} as ${kind}`);
});
