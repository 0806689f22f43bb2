/**
 * Colocation rules: which part of a key is hashed, as if the application had put a hash tag around it. Rules are patterns of
 * the whole key, in order; the first that matches decides.
 *
 *   bull:{queue}:*   a name in braces stands for one byte or more: bull:mail:7 is placed by "mail"
 *   {bull}:*         braces at the very beginning hold literal text: every key that begins with bull: is placed by "bull"
 *   {*}:*            any text at the very beginning: acme:users is placed by "acme", zeta:users by "zeta"
 *   *                any text, also none
 *
 * A name takes what comes before the first place where the literal text after it occurs, or all the rest if nothing comes
 * after it, and never nothing. `*` takes the same, or nothing. There is no second try: if what follows then does not match,
 * the rule does not. (A `*` before the last literal takes all up to the key's end, less that literal.) So a name never holds
 * the text that ends it, a key is walked over once, and what a rule does can be read off it.
 *
 * The braces that matter are the key's own: a key with a hash tag is never looked at here (Redis Cluster's rule holds).
 */

export const COLOCATE_RULES_MAX = 64;
export const COLOCATE_BYTES_MAX = 128;

/** Why a text is no pattern, in words that follow "found". */
export interface PatternFault {
  fault: string;
}

/** A pattern, taken apart. Its texts stand before, between and after its gaps: `texts.length` is one more than the gaps. */
interface Pattern {
  texts: readonly Uint8Array[];
  /** The gap that is captured, or -1 where literal text at the beginning is. */
  captured: number;
  /** Bytes of that literal text. */
  literalBytes: number;
}

/** What each byte of a key's beginning says: the first rule that may match, or NONE. */
const NONE = COLOCATE_RULES_MAX;

export class Colocation {
  /** After `capture` has returned true, bytes[start, end) is what to hash. */
  start = 0;
  end = 0;
  private readonly rules: readonly Pattern[];
  private readonly firstRule = new Uint8Array(256).fill(NONE);

  /** Throws a RangeError for what is no pattern, and for more than COLOCATE_RULES_MAX. */
  constructor(patterns: readonly string[]) {
    if (patterns.length > COLOCATE_RULES_MAX) throw new RangeError(`more than ${COLOCATE_RULES_MAX} patterns`);
    this.rules = patterns.map((text) => {
      const pattern = parsePattern(text);
      if ('fault' in pattern) throw new RangeError(`${text}: ${pattern.fault}`);
      return pattern;
    });
    for (const [index, { texts }] of this.rules.entries()) {
      const first = texts[0]?.[0];
      for (let byte = 0; byte < 256; byte += 1) {
        if (first !== undefined && first !== byte) continue;
        this.firstRule[byte] = Math.min(this.firstRule[byte] as number, index);
      }
    }
  }

  /** Whether a rule says by which part the key bytes[start, end) is placed: then `start` and `end` say which. */
  capture(bytes: Uint8Array, start: number, end: number): boolean {
    if (start === end) return false;
    const { rules } = this;
    for (let index = this.firstRule[bytes[start] as number] as number; index < rules.length; index += 1) {
      if (this.matches(rules[index] as Pattern, bytes, start, end)) return !hasTag(bytes, start, end);
    }
    return false;
  }

  private matches(pattern: Pattern, bytes: Uint8Array, start: number, end: number): boolean {
    const { texts, captured } = pattern;
    const first = texts[0] as Uint8Array;
    if (!occursAt(first, bytes, start, end)) return false;
    this.start = start;
    this.end = start + pattern.literalBytes;
    let at = start + first.length;
    const last = texts.length - 1;
    for (let gap = 0; gap < last; gap += 1) {
      const text = texts[gap + 1] as Uint8Array;
      const isName = gap === captured;
      // The last text must end the key, and only a name cares what comes before it.
      const gapEnd = gap === last - 1 && !isName ? end - text.length : find(text, bytes, at, end);
      if (gapEnd < at || (isName && gapEnd === at) || !occursAt(text, bytes, gapEnd, end)) return false;
      if (isName) {
        this.start = at;
        this.end = gapEnd;
      }
      at = gapEnd + text.length;
    }
    return at === end;
  }
}

/** Takes a pattern apart, or says what is wrong with it. */
export function parsePattern(text: string): Pattern | PatternFault {
  const bytes = Buffer.byteLength(text);
  if (bytes > COLOCATE_BYTES_MAX) return { fault: `a pattern of ${bytes} bytes, above ${COLOCATE_BYTES_MAX}` };
  const pieces = text.split(/(\{[^{}]*\}|\*)/);
  const captures = pieces.filter((piece) => piece.startsWith('{') && piece.endsWith('}'));
  if (pieces.some((piece, index) => index % 2 === 0 && /[{}]/.test(piece))) {
    return { fault: 'a brace without its other half, or braces within braces' };
  }
  if (captures.length === 0) return { fault: 'no part in braces: they say by what a key is placed' };
  if (captures.length > 1) return { fault: 'two parts in braces: a key is placed by one' };
  const content = (captures[0] as string).slice(1, -1);
  const isAtStart = text.startsWith('{');
  if (content === '') return { fault: 'nothing between the braces' };
  if (isAtStart && content !== '*' && content.includes('*')) {
    return { fault: 'a * and other text in the braces at the beginning: they hold literal text, or a * alone' };
  }
  if (!isAtStart && content !== '*' && !/^\w[\w-]*$/.test(content)) {
    const advice = `put braces at the beginning around text that is meant literally, {${pieces[0]}…}`;
    return { fault: `braces that hold neither a name of letters, digits, _ and - nor a *; ${advice}` };
  }

  const texts: string[] = [''];
  let captured = -1;
  let literal = '';
  for (const [index, piece] of pieces.entries()) {
    if (index === 1 && isAtStart && content !== '*') {
      literal = content;
      texts[0] = content;
    } else if (index % 2 === 0) {
      texts[texts.length - 1] += piece;
    } else {
      if (texts.length > 1 && texts.at(-1) === '')
        return { fault: 'a * or a name right next to another: where the one ends would be open' };
      if (piece !== '*') captured = texts.length - 1;
      texts.push('');
    }
  }
  const encoder = new TextEncoder();
  return {
    texts: texts.map((part) => encoder.encode(part)),
    captured,
    literalBytes: encoder.encode(literal).length,
  };
}

/**
 * Whether the rule `pattern`, one of `patterns`, puts no key beside another: each key that it fits is captured by a text of its
 * own. Beside other rules that text may be theirs, too: `user:{id}` with `user:{id}:*`.
 */
export function isAlone(pattern: string, patterns: readonly string[]): boolean {
  const parts = parsePattern(pattern);
  if ('fault' in parts) return false;
  const gaps = parts.texts.length - 1;
  if (parts.captured === -1) return gaps === 0;
  return gaps === 1 && patterns.length === 1;
}

const OPEN = 0x7b;
const CLOSE = 0x7d;

/** Whether Redis Cluster sees a hash tag in the key. */
function hasTag(bytes: Uint8Array, start: number, end: number): boolean {
  let open = start;
  while (open < end && bytes[open] !== OPEN) open += 1;
  let close = open + 1;
  while (close < end && bytes[close] !== CLOSE) close += 1;
  return close < end && close - open > 1;
}

function occursAt(text: Uint8Array, bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < text.length) return false;
  for (let i = 0; i < text.length; i += 1) if (text[i] !== bytes[at + i]) return false;
  return true;
}

/** Where `text` is first in bytes[start, end), or -1; `end` for an empty text, which stands for the rest. */
function find(text: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  if (text.length === 0) return end;
  const first = text[0];
  for (let at = start; at <= end - text.length; at += 1) {
    if (bytes[at] === first && occursAt(text, bytes, at, end)) return at;
  }
  return -1;
}
