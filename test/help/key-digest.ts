/** What a key holds, to be compared between nodes: without what chance and the memory's layout have a say in. */
import type { Value } from './reference-parser.js';
import type { RespClient } from './resp-client.js';

export interface KeyDigest {
  type: string;
  content: string;
  /** Milliseconds since 1970; -1 for none, -2 for no key. */
  expireAt: number;
}

/** `client` speaks RESP2. Streams come with their groups, but for the time when a consumer was last heard of. */
export async function digestOf(client: RespClient, key: string): Promise<KeyDigest> {
  const type = String(await client.command('TYPE', key));
  const expireAt = Number(await client.command('PEXPIRETIME', key));
  return { type, content: await contentOf(client, type, key), expireAt };
}

async function contentOf(client: RespClient, type: string, key: string): Promise<string> {
  const ask = async (...words: string[]) => (await client.command(...words)) as Value[];
  switch (type) {
    case 'string':
      return JSON.stringify(await ask('GET', key));
    case 'list':
      return JSON.stringify(await ask('LRANGE', key, '0', '-1'));
    case 'zset':
      return JSON.stringify(await ask('ZRANGE', key, '0', '-1', 'WITHSCORES'));
    case 'set':
      return JSON.stringify([...(await ask('SMEMBERS', key))].sort());
    case 'hash':
      return JSON.stringify(pairs(await ask('HGETALL', key)).sort());
    case 'stream':
      return JSON.stringify(withoutLayout(await ask('XINFO', 'STREAM', key, 'FULL', 'COUNT', '0')));
    default:
      return '';
  }
}

function pairs(flat: readonly Value[]): string[] {
  return flat.flatMap((value, at) => (at % 2 === 0 ? [JSON.stringify([value, flat[at + 1]])] : []));
}

/** XINFO's fields and values, all the way down, without those that equal streams may differ in. */
function withoutLayout(value: Value): Value {
  if (!Array.isArray(value)) return typeof value === 'bigint' ? `${value}` : value;
  const kept: Value[] = [];
  for (let at = 0; at < value.length; at++) {
    if (LAYOUT.has(value[at])) at++;
    else kept.push(withoutLayout(value[at]));
  }
  return kept;
}

const LAYOUT: ReadonlySet<Value> = new Set(['radix-tree-keys', 'radix-tree-nodes', 'seen-time']);
