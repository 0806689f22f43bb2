/**
 * No command that goes by a shared connection changes what that connection is: its database, user, protocol, flags or name. The
 * command table is walked, and each command is given in the forms that Redis's own description of it allows.
 */
import t from 'tap';
import { COMMANDS } from '../../src/resp/commands.js';
import { deploy } from '../help/deployment.js';
import { connect, type RespClient } from '../help/resp-client.js';

/** What an argument is, as COMMAND DOCS says. */
interface Argument {
  type: string;
  token?: string;
  isOptional: boolean;
  parts: Argument[];
}

type Reply = string | number | null | Reply[];

/** Routes of commands that the proxy sends to nodes by connections that others use as well. */
const SHARED: ReadonlySet<string> = new Set(['one', 'split', 'all', 'any', 'scan', 'block']);
const FIELDS = ['name', 'flags', 'db', 'sub', 'psub', 'multi', 'user', 'redir', 'resp'];
const FORMS_MAX = 24;

/** The forms of a list of arguments: without what is optional, with each optional part and each alternative, and with all of it. */
function formsOf(args: readonly Argument[]): string[][] {
  const forms = [args.flatMap((argument) => (argument.isOptional ? [] : (formsOfOne(argument)[0] ?? [])))];
  for (const [place, argument] of args.entries()) {
    for (const form of formsOfOne(argument)) {
      forms.push(
        args.flatMap((other, at) => {
          if (at === place) return form;
          return other.isOptional ? [] : (formsOfOne(other)[0] ?? []);
        }),
      );
    }
  }
  forms.push(args.flatMap((argument) => formsOfOne(argument).at(-1) ?? []));
  const seen = new Set<string>();
  return forms.filter((form) => !seen.has(form.join(' ')) && seen.add(form.join(' '))).slice(0, FORMS_MAX);
}

function formsOfOne(argument: Argument): string[][] {
  const token = argument.token === undefined ? [] : [argument.token];
  return valuesOf(argument).map((value) => [...token, ...value]);
}

function valuesOf({ type, parts }: Argument): string[][] {
  switch (type) {
    case 'oneof':
      return parts.flatMap(formsOfOne);
    case 'block':
      return formsOf(parts);
    case 'pure-token':
      return [[]];
    case 'key':
      return [['{k}']];
    case 'integer':
    case 'double':
    case 'unix-time':
      return [['1']];
    case 'pattern':
      return [['*']];
    default:
      return [['x']];
  }
}

function argumentsOf(docs: Reply): Argument[] {
  const found = (docs as Reply[]).indexOf('arguments');
  return found < 0 ? [] : ((docs as Reply[])[found + 1] as Reply[]).map(argumentOf);
}

function argumentOf(reply: Reply): Argument {
  const fields = new Map<string, Reply>();
  const list = reply as Reply[];
  for (let at = 0; at < list.length; at += 2) fields.set(list[at] as string, list[at + 1] as Reply);
  const flags = (fields.get('flags') ?? []) as string[];
  const token = fields.get('token') as string | undefined;
  return {
    type: fields.get('type') as string,
    ...(token === undefined ? {} : { token }),
    isOptional: flags.includes('optional'),
    parts: ((fields.get('arguments') ?? []) as Reply[]).map(argumentOf),
  };
}

/** What the node says of each of its connections but that of `observer`: by number, the fields that must not change. */
async function connections(observer: RespClient): Promise<Map<string, string>> {
  const own = `${await observer.command('CLIENT', 'ID')}`;
  const found = new Map<string, string>();
  for (const line of `${await observer.command('CLIENT', 'LIST')}`.trim().split('\n')) {
    const fields = new Map(line.split(' ').map((field) => field.split('=') as [string, string]));
    const id = fields.get('id') as string;
    if (id !== own) found.set(id, FIELDS.map((name) => `${name}=${fields.get(name)}`).join(' '));
  }
  return found;
}

/** Those of `before` that are other ones now. What is new, or gone, has not changed. */
function changed(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...before].flatMap(([id, fields]) => {
    const now = after.get(id);
    return now === undefined || now === fields ? [] : [`${fields} -> ${now}`];
  });
}

t.test('a change of a connection is seen', async (t) => {
  const deployment = await deploy(t, { nodes: 1 });
  const [server] = deployment.servers;
  const port = server?.port as number;
  const observer = await connect(t, port);
  for (const words of [['SELECT', '3'], ['CLIENT', 'SETNAME', 'x'], ['MULTI'], ['SUBSCRIBE', 'x'], ['HELLO', '3']]) {
    const client = await connect(t, port);
    await client.command('PING');
    const before = await connections(observer);
    await client.raw(...words);
    t.equal(changed(before, await connections(observer)).length, 1, words.join(' '));
  }
});

for (const protocol of [2, 3] as const) {
  t.test(`in RESP${protocol}, no command changes a shared connection`, async (t) => {
    const deployment = await deploy(t, { nodes: 1, workers: 1 });
    const [server] = deployment.servers;
    const observer = await connect(t, server?.port as number);
    const client = await connect(t, deployment.port);
    if (protocol === 3) await client.raw('HELLO', '3');
    await client.raw('SET', '{k}', '1');
    let forms = 0;
    for (const spec of COMMANDS.filter(({ route, subcommands }) => SHARED.has(route) && subcommands === null)) {
      const words = spec.name.split('|');
      const docs = (await observer.command('COMMAND', 'DOCS', spec.name)) as unknown as Reply[];
      for (const form of formsOf(argumentsOf(docs[1] as Reply))) {
        // What blocks goes by a private connection; a node would keep this one waiting.
        if (spec.route === 'block' && (!spec.name.startsWith('x') || form.includes('BLOCK'))) continue;
        const before = await connections(observer);
        await client.raw(...words, ...form);
        t.same(changed(before, await connections(observer)), [], [...words, ...form].join(' '));
        forms++;
      }
    }
    t.ok(forms > 500, `${forms} forms`);
    // A block of commands, too, leaves the connection as it was, also when it is refused.
    for (const block of [
      ['SET', '{k}', '1'],
      ['SET', '{k}'],
      ['EVAL', 'return redis.call("nosuch")', '0'],
    ]) {
      const before = await connections(observer);
      for (const words of [['MULTI'], block, ['EXEC']]) await client.raw(...words);
      t.same(changed(before, await connections(observer)), [], `MULTI ${block.join(' ')} EXEC`);
    }
  });
}
