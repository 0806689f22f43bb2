/**
 * What does not fit a schema, told to the author of the file: where, what was expected, what was found, and what to write
 * instead. Never shows a password, nor what a variable of the environment stands for.
 */
import { z } from 'zod';
import { nearestWord } from './nearest.js';
import { formatPath, show } from './schema.js';
import type { Path, Problem, YamlSource } from './yaml-source.js';

/** By a map's path, with * for any name or index, what people write there for what the file has elsewhere or otherwise. */
export type OtherWords = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What `issues`, which `schema` found in the value of `source`, say to the file's author. */
export function describeIssues(
  source: YamlSource,
  schema: z.ZodType,
  issues: readonly z.core.$ZodIssue[],
  otherWords: OtherWords,
): Problem[] {
  const strangers = issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return [];
    const path = issue.path as Path;
    return issue.keys.map((key) => ({ path, key, ...unknownKey(schema, path, key, otherWords) }));
  });
  const problems = strangers.map(({ path, key, text }) => source.problemWithKey(path, key, text));
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') continue;
    // A key that was only mistyped is not missing, too.
    const isMistyped = strangers.some(({ path, means }) => means !== null && isPath(issue.path, [...path, means]));
    if (isMistyped && source.valueAt(issue.path as Path) === undefined) continue;
    problems.push(describeIssue(source, issue));
  }
  return problems;
}

function describeIssue(source: YamlSource, issue: z.core.$ZodIssue): Problem {
  const path = writtenPath(source, issue.path as Path);
  if (issue.code === 'invalid_key') {
    const key = String(path.at(-1));
    const text = `${formatPath(path)}: expected ${expectedBy(issue)}, found ${show(key)}`;
    return source.problemWithKey(path.slice(0, -1), key, text);
  }
  const found = source.valueAt(path);
  const { fault, advice } =
    issue.code === 'custom' ? ((issue.params ?? {}) as { fault?: string; advice?: string }) : {};
  if (found === undefined && fault === undefined) {
    return source.problem(path, `${formatPath(path)} is missing: expected ${expectedBy(issue)}`);
  }
  const text = `expected ${expectedBy(issue)}, found ${foundWords(source, path, found, fault, advice)}`;
  return source.problem(path, path.length === 0 ? text : `${formatPath(path)}: ${text}`);
}

/** What a variable of the environment stands for is never shown: it may be a password. */
function foundWords(source: YamlSource, path: Path, found: unknown, fault?: string, advice?: string): string {
  const variables = source.variablesAt(path).map((name) => `\${${name}}`);
  if (variables.length === 0) {
    // A whole file that is one text may be anything.
    const words = fault ?? (path.length === 0 && typeof found === 'string' ? 'a text' : show(found));
    const hint = advice ?? slipIn(found);
    return hint === null ? words : `${words}; ${hint}`;
  }
  const origin = `what ${variables.join(' and ')} ${variables.length > 1 ? 'stand' : 'stands'} for`;
  return fault === undefined ? origin : `${fault} (in ${origin})`;
}

/** What in itself looks like a slip of the hand. */
function slipIn(found: unknown): string | null {
  if (typeof found !== 'string') return null;
  if (/^\$\w+$|^\$\(/.test(found)) return 'a variable of the environment is written ${NAME}';
  if (/^[\u2018-\u201f]/.test(found)) return 'write plain quotes: "';
  if (/^-\S/.test(found)) return 'write a blank after each -';
  return null;
}

/** `text`, about the value at `path`, with the variables in place of what they stand for, where it shows the value in quotes. */
export function withoutVariables(source: YamlSource, path: Path, text: string): string {
  const found = source.valueAt(path);
  const variables = source.variablesAt(path);
  if (variables.length === 0 || typeof found !== 'string') return text;
  return text.replaceAll(show(found), () => variables.map((name) => `\${${name}}`).join(' and '));
}

/** The path as the file has it: where a value is a short form of a list or a map, the issue is inside the long form. */
export function writtenPath(source: YamlSource, path: Path): Path {
  for (let length = 0; length < path.length; length++) {
    const outer = source.valueAt(path.slice(0, length));
    const step = path[length];
    const isInside = typeof outer === 'object' && outer !== null && (typeof step === 'string' || Array.isArray(outer));
    if (!isInside) return path.slice(0, length);
  }
  return path;
}

function expectedBy(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? 'another key';
  if (issue.code !== 'invalid_type' || !issue.message.startsWith('Invalid input')) return issue.message;
  return EXPECTED_TYPES[issue.expected] ?? issue.expected;
}

const EXPECTED_TYPES: Record<string, string> = {
  object: 'a map (key: value)',
  record: 'a map (name: value)',
  array: 'a list',
};

/** What to say of the key, and which key of the map it was meant to be, if it is known. */
function unknownKey(schema: z.ZodType, path: Path, key: string, otherWords: OtherWords) {
  const where = path.length === 0 ? 'in the file' : `in ${formatPath(path)}`;
  const maps = knownMaps(schema);
  const known = maps.find((map) => isPattern(map.path, path))?.keys ?? [];
  const say = (advice: string, means: string | null) => ({
    text: `unknown key ${show(key)} ${where}; ${advice}`,
    means,
  });
  if (/^(\/\/|--|;)/.test(key)) return say('a comment begins with #', null);
  if (key === '<<') return say('merge keys are not supported: an alias stands for a whole value', null);
  const words = Object.entries(otherWords).find(([pattern]) => isPattern(pattern, path))?.[1] ?? {};
  const other = Object.keys(words).find((word) => plain(word) === plain(key));
  if (other !== undefined) return say(words[other] as string, firstWord(words[other] as string, known));
  const same = known.find((word) => plain(word) === plain(key)) ?? nearestWord(key, known);
  if (same !== null) return say(`did you mean ${same}?`, same);
  const home = maps.filter((map) => map.path !== '' && map.keys.includes(key)).sort((a, b) => depth(a) - depth(b))[0];
  if (home !== undefined) return say(`it belongs into ${placeWords(home.path)}`, null);
  return say(`known are ${known.join(', ')}`, null);
}

/** The known key that an advice is about: its first word. */
function firstWord(advice: string, known: readonly string[]): string | null {
  return known.find((word) => advice.replace(/^write /, '').startsWith(`${word}:`)) ?? null;
}

function depth({ path }: KnownMap): number {
  return path.split('.').length;
}

/** `pools.NAME.nodes` */
function placeWords(path: string): string {
  return path.replace(/^pools\.\*/, 'pools.NAME').replaceAll('.*', '');
}

function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, '');
}

function isPath(one: readonly PropertyKey[], other: Path): boolean {
  return one.length === other.length && one.every((step, index) => step === other[index]);
}

/** Whether `pattern`, such as `pools.*.nodes.*`, is that of `path`. */
function isPattern(pattern: string, path: Path): boolean {
  const steps = pattern === '' ? [] : pattern.split('.');
  return steps.length === path.length && steps.every((step, index) => step === '*' || step === path[index]);
}

interface KnownMap {
  path: string;
  keys: string[];
}

/** Every map with known keys in `schema`, the outer before the inner. */
export function knownMaps(schema: unknown, path = ''): KnownMap[] {
  const inner = unwrap(schema);
  const below = (step: string) => (path === '' ? step : `${path}.${step}`);
  if (inner instanceof z.ZodObject) {
    const children = Object.entries(inner.shape).flatMap(([key, child]) => knownMaps(child, below(key)));
    return [{ path, keys: Object.keys(inner.shape) }, ...children];
  }
  if (inner instanceof z.ZodArray) return knownMaps(inner.element, below('*'));
  if (inner instanceof z.ZodRecord) return knownMaps(inner.valueType, below('*'));
  return [];
}

function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  if (schema instanceof z.ZodPipe) return unwrap(schema.out);
  return schema;
}
