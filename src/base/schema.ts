/**
 * The values a YAML file may hold, and what is wrong with one that does not fit: "PLACE: expected …, found …". A zod schema
 * made of these says for each value what it expects, in words; this file adds what was found, without passwords.
 */
import { z } from 'zod';
import { meant } from './nearest.js';
import { parseBytes, parseMilliseconds } from './units.js';
import type { Path, Problem, YamlSource } from './yaml-source.js';

/** Why a value does not fit, in words that follow "found", where the value itself must not or need not be shown. */
export interface Fault {
  fault: string;
}

/** Says what is wrong with the value at `path`; the text follows the path at once. */
export type Complain = (path: Path, text: string) => void;

/**
 * A value that `parse` takes. `parse` returns null for what it does not take, or a fault that says what was found instead;
 * the problem then reads "expected …, found …".
 */
export function value<T>(expected: string, parse: (value: unknown) => T | Fault | null) {
  return z.unknown().transform((input, context): T => {
    const parsed = parse(input);
    if (parsed !== null && !isFault(parsed)) return parsed;
    const params = isFault(parsed) ? { fault: parsed.fault } : {};
    context.addIssue({ code: 'custom', message: expected, params });
    return z.NEVER;
  });
}

function isFault<T>(parsed: T | Fault): parsed is Fault {
  return typeof parsed === 'object' && parsed !== null && 'fault' in parsed;
}

export function text<T>(expected: string, parse: (text: string) => T | Fault | null) {
  return value(expected, (input) => (typeof input === 'string' ? parse(input) : null));
}

export function oneOf<const W extends string>(...words: readonly W[]) {
  return value(words.join(' | '), (input) => words.find((word) => word === input) ?? null);
}

/** As Redis writes a boolean, and as YAML does. */
export function yesOrNo() {
  return value('yes | no', (input) => {
    if (input === true || input === 'yes' || input === 'true') return true;
    return input === false || input === 'no' || input === 'false' ? false : null;
  });
}

/** Digits in quotes, or from a variable of the environment, are a number where one is expected. */
export function wholeNumber(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  return value(expected, (input) => {
    const number = typeof input === 'string' && /^\d+$/.test(input) ? Number(input) : input;
    return typeof number === 'number' && Number.isInteger(number) ? within(number, min, max) : null;
  });
}

export function bytes(min: number, max: number) {
  return value(`bytes, or a size such as 64mb, from ${min} to ${max}`, (input) => within(parseBytes(input), min, max));
}

export function milliseconds(min: number, max: number) {
  const expected = `milliseconds, or a time such as 500ms or 2s, from ${min} to ${max}`;
  return value(expected, (input) => within(parseMilliseconds(input), min, max));
}

function within(quantity: number | null, min: number, max: number): number | null {
  return quantity !== null && quantity >= min && quantity <= max ? quantity : null;
}

/** What `issue`, which `schema` found in the value of `source`, says to the file's author. */
export function describeIssue(source: YamlSource, schema: z.ZodType, issue: z.core.$ZodIssue): Problem[] {
  const path = writtenPath(source, issue.path as Path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => source.problemWithKey(path, key, unknownKey(schema, path, key)));
  }
  if (issue.code === 'invalid_key') {
    const key = String(path.at(-1));
    const text = `${formatPath(path)}: expected ${expectedBy(issue)}, found ${show(key)}`;
    return [source.problemWithKey(path.slice(0, -1), key, text)];
  }
  const found = source.valueAt(path);
  const fault = issue.code === 'custom' ? issue.params?.['fault'] : undefined;
  if (found === undefined && fault === undefined) {
    return [source.problem(path, `${formatPath(path)} is missing: expected ${expectedBy(issue)}`)];
  }
  const text = `expected ${expectedBy(issue)}, found ${foundWords(source, path, found, fault)}`;
  return [source.problem(path, path.length === 0 ? text : `${formatPath(path)}: ${text}`)];
}

/** What a variable of the environment stands for is never shown: it may be a password. */
function foundWords(source: YamlSource, path: Path, found: unknown, fault: string | undefined): string {
  const variables = source.variablesAt(path).map((name) => `\${${name}}`);
  if (variables.length === 0) return fault ?? show(found);
  const origin = `what ${variables.join(' and ')} ${variables.length > 1 ? 'stand' : 'stands'} for`;
  return fault === undefined ? origin : `${fault} (in ${origin})`;
}

/** `text`, about the value at `path`, with the variables in place of what they stand for, where it shows the value in quotes. */
export function withoutVariables(source: YamlSource, path: Path, text: string): string {
  const found = source.valueAt(path);
  const variables = source.variablesAt(path);
  if (variables.length === 0 || typeof found !== 'string') return text;
  return text.replaceAll(show(found), () => variables.map((name) => `\${${name}}`).join(' and '));
}

/** The path as the file has it: where a plain value is a short form of a list or a map, the issue is inside the long form. */
function writtenPath(source: YamlSource, path: Path): Path {
  for (let length = 0; length < path.length; length++) {
    const outer = source.valueAt(path.slice(0, length));
    if (typeof outer !== 'object' && outer !== undefined) return path.slice(0, length);
  }
  return path;
}

function expectedBy(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return EXPECTED_TYPES[issue.expected] ?? issue.expected;
  return issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? 'another key') : issue.message;
}

const EXPECTED_TYPES: Record<string, string> = {
  object: 'a map (key: value)',
  record: 'a map (name: value)',
  array: 'a list',
};

function unknownKey(schema: z.ZodType, path: Path, key: string): string {
  const known = knownKeys(schema, path);
  const where = path.length === 0 ? 'in the file' : `in ${formatPath(path)}`;
  return `unknown key ${show(key)} ${where}${meant(key, known) || `; known are ${known.join(', ')}`}`;
}

/** The keys of the map at `path`, read off the schema. */
function knownKeys(root: z.ZodType, path: Path): string[] {
  let schema: unknown = root;
  for (const step of path) {
    schema = unwrap(schema);
    if (schema instanceof z.ZodObject) schema = schema.shape[step];
    else if (schema instanceof z.ZodArray) schema = schema.element;
    else if (schema instanceof z.ZodRecord) schema = schema.valueType;
  }
  schema = unwrap(schema);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  if (schema instanceof z.ZodPipe) return unwrap(schema.out);
  return schema;
}

/** Index and text of each text that stands before, too. */
export function duplicates(texts: readonly string[]): [number, string][] {
  return [...texts.entries()].filter(([index, text]) => texts.indexOf(text) < index);
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
