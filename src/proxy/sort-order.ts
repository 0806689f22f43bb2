/** SORT by numbers, without a node. */
import type { Bulks } from './bulks.js';

const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
/** Numbers of so many digits are exact, and so are the powers of ten that they are divided by: what comes out is the double that is nearest. */
const DIGITS_MAX = 15;
const POWERS = Array.from({ length: DIGITS_MAX + 1 }, (_, power) => 10 ** power);

/**
 * The places of `elements` in order, by the weight at each one's place; what has none weighs 0, and what weighs the same is in the order of its bytes. Null:
 * a weight is no plain number, and a node is to say how it is read.
 */
export function orderByNumbers(elements: Bulks, weights: Bulks, isReversed: boolean): number[] | null {
  const { length } = elements;
  const scores = new Float64Array(length);
  const places = new Array<number>(length);
  for (let place = 0; place < length; place++) {
    const score = weights.isNull(place)
      ? 0
      : plainNumber(weights.sourceOf(place), weights.contentStart(place), weights.contentEnd(place));
    if (Number.isNaN(score)) return null;
    scores[place] = score;
    places[place] = place;
  }
  const sign = isReversed ? -1 : 1;
  return places.sort((one, other) => {
    const difference = (scores[one] as number) - (scores[other] as number);
    return sign * (difference === 0 ? compareBytes(elements, one, other) : difference);
  });
}

function compareBytes(elements: Bulks, one: number, other: number): number {
  const [left, right] = [elements.sourceOf(one), elements.sourceOf(other)];
  const [leftEnd, rightEnd] = [elements.contentEnd(one), elements.contentEnd(other)];
  let at = elements.contentStart(one);
  let beside = elements.contentStart(other);
  for (; at < leftEnd && beside < rightEnd; at++, beside++) {
    const difference = (left[at] as number) - (right[beside] as number);
    if (difference !== 0) return difference;
  }
  return leftEnd - at - (rightEnd - beside);
}

/** What bytes[from, to) say, as `1`, `-20` or `3.25`; NaN of all else. */
function plainNumber(bytes: Uint8Array, from: number, to: number): number {
  const sign = bytes[from];
  let value = 0;
  let digits = 0;
  let fraction = -1;
  for (let at = sign === MINUS || sign === PLUS ? from + 1 : from; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte === DOT && fraction < 0 && digits > 0) {
      fraction = 0;
      continue;
    }
    if (byte < ZERO || byte > NINE || digits === DIGITS_MAX) return Number.NaN;
    value = value * 10 + byte - ZERO;
    digits++;
    if (fraction >= 0) fraction++;
  }
  if (digits === 0) return Number.NaN;
  const number = fraction > 0 ? value / (POWERS[fraction] as number) : value;
  return sign === MINUS ? -number : number;
}
