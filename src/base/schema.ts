/**
 * The values a YAML file may hold. A zod schema made of these says for each value what it expects, in words, and in JSON
 * Schema for editors; schema-problem.ts tells the author of a file what does not fit.
 */
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { meant } from './nearest.js';
import {
  formatBytes,
  formatMilliseconds,
  meantQuantity,
  parseBytes,
  parseCount,
  parseMilliseconds,
  type QuantityKind,
} from './units.js';
import type { Path } from './yaml-source.js';

/** Why a value does not fit, in words that follow "found", where the value itself must not or need not be shown. */
export interface Fault {
  fault: string;
  /** As in `Advice`. */
  advice?: string;
}

/** What to write instead of the value that was found, which is shown. Follows a semicolon. */
export interface Advice {
  advice: string;
}

/** What a map or a list is expected to be, in words; strangers and mistakes in it have their own. */
export function expecting(expected: string) {
  return { error: (issue: { code: string }) => (issue.code === 'invalid_type' ? expected : undefined) };
}

/** Says what is wrong with the value at `path`; the text follows the path at once. */
export type Complain = (path: Path, text: string) => void;

/** The forms of a value as JSON Schema has them. */
export type JsonForms = z.core.JSONSchema.BaseSchema;

/** What docs and editors say of a key. */
export interface About {
  /** What it is, what happens there, and why its default is what it is. Sentences; `code` in backticks. */
  description: string;
  /** The default as it would be written, where it is one value. */
  stated?: string | number;
  /** In place of a default, for a key that has none: what an example has there, as YAML. */
  example?: string;
  /** What is expected, in words, where the schema does not say it. */
  expected?: string;
}

/** `schema`, which is that of a key, with what is to be said of it. */
export function about<S extends z.ZodType>(schema: S, description: string, rest: Omit<About, 'description'> = {}): S {
  return schema.meta({ description, ...rest }) as S;
}

/** A variable of the environment may stand for any value. */
const VARIABLE = '\\$\\{';
const VARIABLE_FORM: JsonForms = { type: 'string', pattern: VARIABLE };

/**
 * A value that `parse` takes. `parse` returns null for what it does not take, or says what was found, or what to write
 * instead; the problem then reads "expected …, found …; …". `forms` is what editors take for right.
 */
export function value<T>(
  expected: string,
  parse: (value: unknown) => T | Fault | Advice | null,
  forms: JsonForms = {},
) {
  return z
    .unknown()
    .transform((input, context): T => {
      const parsed = parse(input);
      if (parsed !== null && !isRefusal(parsed)) return parsed;
      context.addIssue({ code: 'custom', message: expected, params: parsed === null ? {} : { ...parsed } });
      return z.NEVER;
    })
    .meta({ ...forms, expected });
}

function isRefusal<T>(parsed: T | Fault | Advice): parsed is Fault | Advice {
  return typeof parsed === 'object' && parsed !== null && ('fault' in parsed || 'advice' in parsed);
}

/** `pattern` is a regular expression for editors. */
export function text<T>(expected: string, parse: (text: string) => T | Fault | Advice | null, pattern?: string) {
  const forms: JsonForms = { type: 'string', ...(pattern === undefined ? {} : { pattern: `${pattern}|${VARIABLE}` }) };
  return value(expected, (input) => (typeof input === 'string' ? parse(input) : null), forms);
}

/** A text that is a name: one that YAML takes for a number, or for true or false, must be quoted. */
export function nameText<T>(expected: string, parse: (text: string) => T | Fault | Advice | null, pattern?: string) {
  const forms: JsonForms = { type: 'string', ...(pattern === undefined ? {} : { pattern: `${pattern}|${VARIABLE}` }) };
  return value(
    expected,
    (input) => {
      if (typeof input === 'string') return parse(input);
      return typeof input === 'number' || typeof input === 'boolean' ? { advice: 'put it in quotes' } : null;
    },
    forms,
  );
}

/** Of a file or a folder: where the proxy was started is nobody's business. */
export function absolutePath(expected: string) {
  const parse = (path: string) => (isAbsolute(path) && !path.includes('\0') ? path : { advice: 'begin it with /' });
  return text(expected, parse, '^/');
}

export function oneOf<const W extends string>(...words: readonly W[]) {
  return oneOfWords(words, {});
}

/** As `oneOf`; `others` are words that people write for one of them. */
export function oneOfWords<const W extends string>(words: readonly W[], others: Readonly<Record<string, W>>) {
  const expected = words.join(' | ');
  return value(
    expected,
    (input) => {
      const found = words.find((word) => word === input);
      if (found !== undefined || typeof input !== 'string') return found ?? null;
      const other = Object.keys(others).find((word) => word === input.toLowerCase());
      if (other !== undefined) return { advice: `write ${others[other]}` };
      const nearest = meant(input, words);
      return nearest === '' ? null : { advice: nearest.slice('; '.length) };
    },
    { anyOf: [{ enum: [...words] }, VARIABLE_FORM] },
  );
}

/** As Redis writes a boolean, and as YAML does. */
export function yesOrNo() {
  return value(
    'yes | no',
    (input) => {
      if (input === true || input === 'yes' || input === 'true') return true;
      if (input === false || input === 'no' || input === 'false') return false;
      const word = String(input).toLowerCase();
      if (/^(on|yes|1|enabled?)$/.test(word)) return { advice: 'write yes' };
      return /^(off|no|0|disabled?)$/.test(word) ? { advice: 'write no' } : null;
    },
    { anyOf: [{ type: 'boolean' }, { enum: ['yes', 'no', 'true', 'false'] }, VARIABLE_FORM] },
  );
}

/** Digits in quotes, or from a variable of the environment, are a number where one is expected. `note` follows the bounds; `advice` is for words. */
export function wholeNumber(min: number, max: number, note = '', advice: Readonly<Record<string, string>> = {}) {
  return value(
    `a whole number from ${min} to ${max}${note}`,
    (input) => {
      const word = Object.keys(advice).find((word) => word === input);
      return word === undefined ? quantity(input, 'count', min, max) : { advice: advice[word] as string };
    },
    { anyOf: [{ type: 'integer', minimum: min, maximum: max }, digitsForm('')] },
  );
}

export function bytes(min: number, max: number) {
  return value(
    `bytes, or a size such as 64mb, from ${formatBytes(min)} to ${formatBytes(max)}`,
    (input) => quantity(input, 'bytes', min, max),
    {
      anyOf: [
        { type: 'integer', minimum: min, maximum: max },
        digitsForm('(\\.\\d+)? ?([bB]|[kK][bB]?|[mM][bB]?|[gG][bB]?)?'),
      ],
    },
  );
}

/** `zero` says what 0 means, where it means something of its own. */
export function milliseconds(min: number, max: number, zero = '') {
  return value(
    `milliseconds, or a time such as 500ms or 2s, from ${formatMilliseconds(min)} to ${formatMilliseconds(max)}${zero}`,
    (input) => quantity(input, 'milliseconds', min, max),
    { anyOf: [{ type: 'integer', minimum: min, maximum: max }, digitsForm('(\\.\\d+)? ?([mM]?[sS]|[mM]|[hH])?')] },
  );
}

function digitsForm(rest: string): JsonForms {
  return { type: 'string', pattern: `^\\d+${rest}$|${VARIABLE}` };
}

const PARSERS: Record<QuantityKind, (value: unknown) => number | null> = {
  count: parseCount,
  bytes: parseBytes,
  milliseconds: parseMilliseconds,
};

function quantity(input: unknown, kind: QuantityKind, min: number, max: number): number | Advice | null {
  const parse = (value: unknown) => {
    const found = PARSERS[kind](value);
    return found !== null && found >= min && found <= max ? found : null;
  };
  const found = parse(input);
  if (found !== null || typeof input !== 'string') return found;
  const meant = meantQuantity(input, kind);
  return meant === null || parse(meant) === null ? null : { advice: `write ${meant}` };
}

/** Index and text of each text that stands before, too. */
export function duplicates(texts: readonly string[]): [number, string][] {
  const seen = new Set<string>();
  return [...texts.entries()].filter(([, text]) => {
    const isSeen = seen.has(text);
    seen.add(text);
    return isSeen;
  });
}

const SHOWN_MAX = 60;

/** A value as a message shows it, without what may be a password. */
export function show(found: unknown): string {
  if (found === undefined || found === null) return 'nothing';
  if (Array.isArray(found)) return 'a list';
  if (typeof found === 'object') return 'a map';
  if (typeof found !== 'string') return String(found);
  const shown = withoutLogin(found);
  return JSON.stringify(shown.length > SHOWN_MAX ? `${shown.slice(0, SHOWN_MAX)}…` : shown);
}

/** `pools.main.nodes[1].url` */
export function formatPath(path: Path): string {
  return path
    .map((step, index) =>
      typeof step === 'number' ? `[${step}]` : `${index > 0 ? '.' : ''}${withoutLogin(`${step}`)}`,
    )
    .join('');
}

/** All before an @, where a URL has its user and password, becomes an ellipsis. */
function withoutLogin(text: string): string {
  const at = text.lastIndexOf('@');
  return at === -1 ? text : `…${text.slice(at)}`;
}
