/** Sizes and times as people write them: `64mb`, `500ms`, `2s`. */

/** As in redis.conf: `k` is 1000, `kb` is 1024, and so on. */
const BYTES: Record<string, number> = {
  b: 1,
  k: 1e3,
  kb: 2 ** 10,
  m: 1e6,
  mb: 2 ** 20,
  g: 1e9,
  gb: 2 ** 30,
};

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** What people write for units, and how often the unit that is ours. */
const OTHER_UNITS: Record<string, [number, string]> = {
  byte: [1, 'b'],
  bytes: [1, 'b'],
  kib: [1, 'kb'],
  mib: [1, 'mb'],
  gib: [1, 'gb'],
  ki: [1, 'kb'],
  mi: [1, 'mb'],
  gi: [1, 'gb'],
  tb: [1024, 'gb'],
  tib: [1024, 'gb'],
  msec: [1, 'ms'],
  millis: [1, 'ms'],
  milliseconds: [1, 'ms'],
  sec: [1, 's'],
  secs: [1, 's'],
  second: [1, 's'],
  seconds: [1, 's'],
  min: [1, 'm'],
  mins: [1, 'm'],
  minute: [1, 'm'],
  minutes: [1, 'm'],
  hr: [1, 'h'],
  hour: [1, 'h'],
  hours: [1, 'h'],
  d: [24, 'h'],
  day: [24, 'h'],
  days: [24, 'h'],
};

/** A number of bytes, or a text such as `64mb`, or of digits alone. Returns bytes, a whole number, or null when it is neither. */
export function parseBytes(value: unknown): number | null {
  return parseQuantity(value, BYTES);
}

/** A number of milliseconds, or a text such as `500ms` or `2s`, or of digits alone. Returns milliseconds, a whole number, or null. */
export function parseMilliseconds(value: unknown): number | null {
  return parseQuantity(value, MILLISECONDS);
}

/** A whole number, or a text of digits. */
export function parseCount(value: unknown): number | null {
  return parseQuantity(value, {});
}

/** Returns the bytes in the largest unit that divides them: `64mb`. */
export function formatBytes(bytes: number): string {
  return format(bytes, [
    ['gb', 2 ** 30],
    ['mb', 2 ** 20],
    ['kb', 2 ** 10],
  ]);
}

/** Returns the milliseconds in the largest unit that divides them: `2s`. */
export function formatMilliseconds(ms: number): string {
  const text = format(ms, [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ]);
  return /\d$/.test(text) && ms > 0 ? `${text}ms` : text;
}

export type QuantityKind = 'count' | 'bytes' | 'milliseconds';

/** What somebody meant who wrote `5 seconds` or `1_000` for a quantity of that kind, as it is to be written, or null. */
export function meantQuantity(value: string, kind: QuantityKind): string | null {
  const [, digits = '', unit = ''] = /^(\d[\d_,' ]*(?:\.\d+)?) ?([a-z]*)$/i.exec(value) ?? [];
  if (digits === '') return null;
  const number = Number(digits.replaceAll(/[_,' ]/g, ''));
  if (kind === 'count') return parseQuantity(`${number}${unit}`, BYTES)?.toString() ?? null;
  const units = kind === 'bytes' ? BYTES : MILLISECONDS;
  const [times, ours] = OTHER_UNITS[unit.toLowerCase()] ?? [1, unit.toLowerCase()];
  return ours === '' || units[ours] !== undefined ? `${number * times}${ours}` : null;
}

function parseQuantity(value: unknown, units: Record<string, number>): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : null;
  if (typeof value !== 'string') return null;
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(?: ?([a-z]+))?$/i.exec(value) ?? [];
  const factor = unit === undefined ? 1 : units[unit.toLowerCase()];
  if (digits === undefined || factor === undefined) return null;
  const quantity = Number(digits) * factor;
  return Number.isSafeInteger(quantity) ? quantity : null;
}

function format(quantity: number, units: readonly [string, number][]): string {
  if (quantity === 0) return '0';
  const [unit, factor] = units.find(([, factor]) => quantity % factor === 0) ?? ['', 1];
  return `${quantity / factor}${unit}`;
}
