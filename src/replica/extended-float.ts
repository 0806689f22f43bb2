/**
 * Arithmetic of x86's 80-bit extended floats, Redis's `long double`: 64 bits of mantissa, rounded to even. INCRBYFLOAT and
 * HINCRBYFLOAT add in them; the proxy adds for all nodes, so that nodes of different machines do not differ. Exact on
 * integers of any length: a number is read once, rounded once, and printed as C's `%.17Lf` prints it.
 */

/** mantissa × 2^exponent, with at most 64 bits of mantissa. */
interface Extended {
  mantissa: bigint;
  exponent: number;
}

const MANTISSA_BITS = 64;
/** Bits that decide on rounding, beyond the mantissa. */
const GUARD_BITS = 3;
const PRINTED_DIGITS = 17;
const PRINTED_SCALE = 10n ** BigInt(PRINTED_DIGITS);

/** A decimal's longest text, and largest power of ten, for which this holds: far inside the range of an extended float. */
const TEXT_LENGTH_MAX = 400;
const POWER_MAX = 1000;

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i;
/** What C's strtold takes besides decimals. */
const OTHER_NUMERAL = /^[+-]?(0x|inf|nan)/i;

/** Two decimals' sum as Redis prints it. `invalid`: one is no number. `unsure`: it may be one that only a node can add. */
export type Sum = { kind: 'sum'; text: string } | { kind: 'invalid' } | { kind: 'unsure' };

/** `one` + `other`, texts as Redis takes them. */
export function addDecimals(one: string, other: string): Sum {
  const [first, second] = [parse(one), parse(other)];
  if (typeof first === 'string') return { kind: first };
  if (typeof second === 'string') return { kind: second };
  return { kind: 'sum', text: print(add(first, second)) };
}

/** Whether it is certainly no number. */
export function isNoNumber(text: string): boolean {
  return parse(text) === 'invalid';
}

function parse(text: string): Extended | 'invalid' | 'unsure' {
  if (text.length > TEXT_LENGTH_MAX || OTHER_NUMERAL.test(text)) return 'unsure';
  const match = DECIMAL.exec(text);
  if (match === null) return 'invalid';
  const [, sign, whole = '', fraction = '', power = '0'] = match;
  if (whole === '' && fraction === '') return 'invalid';
  if (Math.abs(Number(power)) > POWER_MAX) return 'unsure';
  const digits = BigInt(`${whole}${fraction}`);
  const exact = scaled(digits, Number(power) - fraction.length);
  return sign === '-' ? { mantissa: -exact.mantissa, exponent: exact.exponent } : exact;
}

/** digits × 10^power, rounded. */
function scaled(digits: bigint, power: number): Extended {
  if (power >= 0) return round(digits * 10n ** BigInt(power), 0, false);
  const divisor = 10n ** BigInt(-power);
  const shift = Math.max(0, bitLength(divisor) + MANTISSA_BITS + GUARD_BITS - bitLength(digits));
  const shifted = digits << BigInt(shift);
  return round(shifted / divisor, -shift, shifted % divisor !== 0n);
}

function add(one: Extended, other: Extended): Extended {
  const exponent = Math.min(one.exponent, other.exponent);
  const sum = (one.mantissa << BigInt(one.exponent - exponent)) + (other.mantissa << BigInt(other.exponent - exponent));
  return round(sum, exponent, false);
}

/** To 64 bits, to the nearest, to even in the middle. `isMore`: something smaller than its last bit is left out of `value`. */
function round(value: bigint, exponent: number, isMore: boolean): Extended {
  const magnitude = value < 0n ? -value : value;
  const excess = bitLength(magnitude) - MANTISSA_BITS;
  if (excess <= 0) return { mantissa: value, exponent };
  const kept = divideToEven(magnitude, 1n << BigInt(excess), isMore);
  return { mantissa: value < 0n ? -kept : kept, exponent: exponent + excess };
}

function print({ mantissa, exponent }: Extended): string {
  const magnitude = mantissa < 0n ? -mantissa : mantissa;
  const printed =
    exponent >= 0
      ? (magnitude << BigInt(exponent)) * PRINTED_SCALE
      : divideToEven(magnitude * PRINTED_SCALE, 1n << BigInt(-exponent), false);
  if (printed === 0n) return '0';
  const digits = `${printed}`.padStart(PRINTED_DIGITS + 1, '0');
  const fraction = digits.slice(-PRINTED_DIGITS).replace(/0+$/, '');
  const whole = digits.slice(0, -PRINTED_DIGITS);
  return `${mantissa < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

function divideToEven(value: bigint, divisor: bigint, isMore: boolean): bigint {
  const quotient = value / divisor;
  const twice = (value % divisor) * 2n;
  if (twice < divisor || (twice === divisor && !isMore && quotient % 2n === 0n)) return quotient;
  return quotient + 1n;
}

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}
