/**
 * COMMAND and its subcommands: what a node says of its commands, and beside that what there is to say of the proxy's own, in the form
 * that Redis 7.0 has for it.
 */
import { COMMAND_FLAG, type CommandSpec, type KeySpec } from '../resp/command-spec.js';
import { COMMANDS } from '../resp/commands.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { OWN_COMMANDS, type OwnArgument, type OwnCommand } from '../resp/own-commands.js';
import {
  arrayHeader,
  bulkReply,
  integerReply,
  mapHeader,
  type Protocol,
  parseInteger,
  setHeader,
} from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

interface Own {
  readonly command: OwnCommand;
  readonly spec: CommandSpec;
}

const OWN: readonly Own[] = OWN_COMMANDS.map((command) => ({
  command,
  spec: COMMANDS.find(({ name }) => name === command.name) as CommandSpec,
}));

/** The own commands among these names, in any case. */
function ownOf(names: readonly string[]): Own[] {
  return names.flatMap((name) => OWN.filter(({ command }) => command.name === name.toLowerCase()));
}

/** The reply to COMMAND GETKEYS or GETKEYSANDFLAGS of those words, or null where they are none of an own command. */
export function keysOfOwn(words: readonly string[], hasFlags: boolean, protocol: Protocol): Uint8Array | null {
  const [own] = ownOf(words.slice(0, 1));
  if (own === undefined) return null;
  const { arity, keySpecs } = own.spec;
  const fits = arity > 0 ? words.length === arity : words.length >= -arity;
  if (!fits) return Buffer.from('-ERR Invalid number of arguments specified for command\r\n');
  const [keySpec] = keySpecs;
  if (keySpec === undefined) return Buffer.from('-ERR The command has no key arguments\r\n');
  const keys = keysBy(keySpec, words);
  if (keys === null) return Buffer.from('-ERR Invalid arguments specified for command\r\n');
  const flags = simpleSet(keySpec.flags, protocol);
  const shown = keys.map((key) => {
    const name = bulkReply(Buffer.from(key, 'latin1'));
    return hasFlags ? Buffer.concat([arrayHeader(2), name, flags]) : name;
  });
  return Buffer.concat([arrayHeader(shown.length), ...shown]);
}

/** One key, or as many as the number before them says; null where that is none. */
function keysBy({ begin, find }: KeySpec, words: readonly string[]): readonly string[] | null {
  if (begin.kind !== 'index') return null;
  if (find.kind !== 'keynum') return words.slice(begin.index, begin.index + 1);
  const number = words[begin.index + find.numIndex] as string;
  const keys = words.slice(begin.index + find.first, begin.index + find.first + Number(number));
  return /^[1-9]\d*$/.test(number) && keys.length === Number(number) ? keys : null;
}

/** Adds the own commands to a node's reply to `name`, that of COMMAND or of a subcommand, with these words behind it. */
export class DescribedCommands implements ResponsePolicy {
  readonly needsOne = false;
  private readonly name: string;
  private readonly words: readonly string[];
  private readonly protocol: Protocol;

  constructor(name: string, words: readonly string[], protocol: Protocol) {
    this.name = name;
    this.words = words;
    this.protocol = protocol;
  }

  fits(bytes: Uint8Array, { start }: Part): boolean {
    const type = bytes[start];
    return this.name === 'command|count' ? type === TYPE.integer : type === TYPE.array || type === TYPE.map;
  }

  write(parts: Parts, output: Output): void {
    const { name, words, protocol } = this;
    const { bytes } = parts;
    const { start, bytes: length } = parts.part(0);
    const body = lineEnd(bytes, start);
    const count = parseInteger(bytes, start, body);
    if (name === 'command|count') output.appendBytes(integerReply(count + OWN.length));
    else if (name === 'command|info' && words.length > 0) this.writeInfo(bytes, body, count, output);
    else {
      const added = this.added();
      const isMap = name === 'command|docs';
      const own = isMap ? count / (protocol === 3 ? 1 : 2) : count;
      output.appendBytes(isMap ? mapHeader(own + added.length, protocol) : arrayHeader(own + added.length));
      output.appendNow(body, start + length);
      for (const frame of added) output.appendBytes(frame);
    }
  }

  /** A node says nothing (null) of commands that it does not know. */
  private writeInfo(bytes: Uint8Array, body: number, count: number, output: Output): void {
    output.appendBytes(arrayHeader(count));
    let at = body;
    for (let place = 0; place < count; place++) {
      const end = skipValue(bytes, at);
      const [own] = ownOf(this.words.slice(place, place + 1));
      if (own === undefined) output.appendNow(at, end);
      else output.appendBytes(infoOf(own.spec, this.protocol));
      at = end;
    }
  }

  private added(): Uint8Array[] {
    const { name, words, protocol } = this;
    switch (name) {
      case 'command|docs':
        return (words.length === 0 ? OWN : ownOf(words)).map((own) => docsOf(own, protocol));
      case 'command|list':
        return OWN.filter(({ spec }) => isListed(spec, words)).map(({ spec }) => bulkReply(spec.name));
      default:
        return OWN.map(({ spec }) => infoOf(spec, protocol));
    }
  }
}

/** COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]; a node has seen that it is one of these. */
function isListed({ name, categories }: CommandSpec, [, kind, text]: readonly string[]): boolean {
  if (kind === undefined || text === undefined) return true;
  if (kind.toLowerCase() === 'aclcat') return categories.includes(text.toLowerCase());
  return kind.toLowerCase() === 'pattern' && matches(text, name);
}

/** As Redis matches names: `*`, `?`, and letters. */
function matches(pattern: string, name: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  try {
    return new RegExp(`^${source}$`, 'is').test(name);
  } catch {
    // A set of letters that does not end: nothing is like it.
    return false;
  }
}

/** An element of COMMAND's reply. */
function infoOf(
  { name, arity, flags, categories, rangeFirst, lastKey, keyStep, keySpecs }: CommandSpec,
  protocol: Protocol,
): Uint8Array {
  const flagNames = Object.entries(COMMAND_FLAG).flatMap(([flag, bit]) => ((flags & bit) === 0 ? [] : [flag]));
  const parts = [arrayHeader(10), bulkReply(name), integerReply(arity), simpleSet(flagNames, protocol)];
  parts.push(...[rangeFirst, lastKey, keyStep].map(integerReply));
  parts.push(
    simpleSet(
      categories.map((category) => `@${category}`),
      protocol,
    ),
    setHeader(0, protocol),
  );
  parts.push(setHeader(keySpecs.length, protocol));
  for (const keySpec of keySpecs) {
    const begin = [
      bulkReply('type'),
      bulkReply('index'),
      bulkReply('spec'),
      mapHeader(1, protocol),
      bulkReply('index'),
      integerReply(keySpec.begin.kind === 'index' ? keySpec.begin.index : 0),
    ];
    const [kind, fields] = findOf(keySpec, lastKey - rangeFirst, keyStep);
    const find = [bulkReply('type'), bulkReply(kind), bulkReply('spec'), mapHeader(3, protocol)];
    for (const [word, value] of fields) find.push(bulkReply(word), integerReply(value));
    parts.push(mapHeader(3, protocol), bulkReply('flags'), simpleSet(keySpec.flags, protocol));
    parts.push(bulkReply('begin_search'), mapHeader(2, protocol), ...begin);
    parts.push(bulkReply('find_keys'), mapHeader(2, protocol), ...find);
  }
  parts.push(setHeader(0, protocol));
  return Buffer.concat(parts);
}

type FindFields = readonly (readonly [string, number])[];

/** Where the keys are, from the place on where they begin to be looked for. */
function findOf({ find }: KeySpec, last: number, step: number): [kind: string, fields: FindFields] {
  if (find.kind !== 'keynum') return ['range', Object.entries({ lastkey: last, keystep: step, limit: 0 })];
  return ['keynum', Object.entries({ keynumidx: find.numIndex, firstkey: find.first, keystep: find.step })];
}

/** A name and its map, of COMMAND DOCS' reply. */
function docsOf({ command, spec }: Own, protocol: Protocol): Uint8Array {
  const parts = [bulkReply(command.name), mapHeader(4, protocol)];
  for (const [word, text] of [
    ['summary', command.summary],
    ['since', spec.since],
    ['group', spec.group],
  ] as const)
    parts.push(bulkReply(word), bulkReply(text));
  return Buffer.concat([...parts, ...argumentsField(command.arguments, protocol)]);
}

function argumentsField(list: readonly OwnArgument[], protocol: Protocol): Uint8Array[] {
  return [bulkReply('arguments'), arrayHeader(list.length), ...list.map((argument) => argumentOf(argument, protocol))];
}

function argumentOf(argument: OwnArgument, protocol: Protocol): Uint8Array {
  const { name, type, token, isOptional = false, isMultiple = false } = argument;
  const fields: Uint8Array[][] = [
    [bulkReply('name'), bulkReply(name)],
    [bulkReply('type'), bulkReply(type)],
  ];
  if (type === 'key') fields.push([bulkReply('key_spec_index'), integerReply(0)]);
  if (token !== undefined) fields.push([bulkReply('token'), bulkReply(token)]);
  const flags = [...(isOptional ? ['optional'] : []), ...(isMultiple ? ['multiple'] : [])];
  if (flags.length > 0) fields.push([bulkReply('flags'), simpleSet(flags, protocol)]);
  if (argument.arguments !== undefined) fields.push(argumentsField(argument.arguments, protocol));
  return Buffer.concat([mapHeader(fields.length, protocol), ...fields.flat()]);
}

function simpleSet(words: readonly string[], protocol: Protocol): Uint8Array {
  return Buffer.concat([setHeader(words.length, protocol), Buffer.from(words.map((word) => `+${word}\r\n`).join(''))]);
}

function lineEnd(bytes: Uint8Array, start: number): number {
  return bytes.indexOf(0x0a, start) + 1;
}
