/** What LOCK commands say, in the words of a test. */
import { ReplyError } from './reference-parser.js';
import type { RespClient } from './resp-client.js';

export interface TakenLock {
  token: string;
  fence: number;
  validity: number;
}

/** LOCK.ACQUIRE. Null: others have it. Rejects for an error. */
export async function acquire(client: RespClient, name: string, ...options: string[]): Promise<TakenLock | null> {
  const value = await client.command('LOCK.ACQUIRE', name, ...options);
  if (value === null) return null;
  if (value instanceof ReplyError) throw new Error(value.message);
  const fields = fieldsOf(value);
  return {
    token: `${fields.get('token')}`,
    fence: Number(fields.get('fence')),
    validity: Number(fields.get('validity')),
  };
}

/** Of a map, or of a flat array. */
export function fieldsOf(value: unknown): ReadonlyMap<string, unknown> {
  if (value instanceof Map) return new Map([...value].map(([name, field]) => [`${name}`, field]));
  const list = value as unknown[];
  return new Map(Array.from({ length: list.length / 2 }, (_, at) => [`${list[at * 2]}`, list[at * 2 + 1]]));
}
