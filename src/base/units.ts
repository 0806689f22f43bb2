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

/** A number of bytes, or a text such as `64mb`, or of digits alone. Returns bytes, a whole number, or null when it is neither. */
export function parseBytes(value: unknown): number | null {
  return parseQuantity(value, BYTES);
}

/** A number of milliseconds, or a text such as `500ms` or `2s`, or of digits alone. Returns milliseconds, a whole number, or null. */
export function parseMilliseconds(value: unknown): number | null {
  return parseQuantity(value, MILLISECONDS);
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
