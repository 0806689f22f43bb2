/** Very many replicated keys: put on nodes, and compared between them, by the nodes themselves. */
import { makeBallot } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { formatTail } from '../../src/replica/meta.js';
import { RespClient } from './resp-client.js';

/** KEYS of one script. */
const TOGETHER = 20_000;

/** `key:FROM` … `key:TO`, each with the meta `ARGV[1]` and a value that is its number and ARGV[4]. */
const FILL = `
for at = ARGV[2], ARGV[3] do
  local number = string.format('%.0f', at)
  redis.call('SET', 'key:' .. number, number .. ARGV[4])
  redis.call('SET', '~rl:m:key:' .. number, ARGV[1])
end
`;

/**
 * These members hold `key:0` … `key:COUNT-1`, as one proposer's first writes leave them on each: by a script on each node, which takes
 * a fiftieth of the time that writes through a proxy take.
 */
export async function fillNodes(ports: readonly number[], count: number, valueBytes: number): Promise<void> {
  const ballot = makeBallot(0, 1, '7'.repeat(20));
  const meta = ballot + ballot + NO_LINEAGE + formatTail(true, 0);
  const clients = await Promise.all(ports.map((port) => RespClient.connect(port)));
  for (let from = 0; from < count; from += TOGETHER) {
    const range = [`${from}`, `${Math.min(count, from + TOGETHER) - 1}`];
    const words = ['EVAL', FILL, '0', meta, ...range, 'x'.repeat(valueBytes)];
    const replies = await Promise.all(clients.map((client) => client.command(...words)));
    if (replies.some((reply) => reply !== null)) throw new Error(`a node could not be filled: ${replies.join()}`);
  }
  for (const client of clients) client.close();
}

/**
 * Of one page: how many keys have a ballot, and a sum of what each holds: value, expiry, ballot and what it stands on, in whatever
 * order. The promise is left out: nodes that have the same state may have promised different things.
 */
const PAGE = `#!lua flags=no-writes
local page = redis.call('SCAN', ARGV[1], 'COUNT', 5000, 'MATCH', '~rl:m:*')
local count, sum = 0, 0
for _, name in ipairs(page[2]) do
  local key = string.sub(name, 7)
  local meta = redis.call('GET', name)
  local held = key .. '\\n' .. string.sub(meta, 41) .. '\\n' .. redis.call('PEXPIRETIME', key) .. '\\n'
  local hash = redis.sha1hex(held .. (redis.call('DUMP', key) or ''))
  count = count + 1
  sum = (sum + tonumber(string.sub(hash, 1, 12), 16)) % 281474976710656
end
return { page[1], count, string.format('%.0f', sum) }
`;
const SUM_MAX = 2n ** 48n;

export interface NodeDigest {
  /** With a ballot, and all that are no one's of the proxies. */
  keys: number;
  values: number;
  sum: string;
}

/** Of all replicated keys of a node that nobody writes to meanwhile. */
export async function nodeDigest(port: number): Promise<NodeDigest> {
  const client = await RespClient.connect(port);
  try {
    let cursor = '0';
    let keys = 0;
    let sum = 0n;
    do {
      const page = await client.command('EVAL', PAGE, '0', cursor);
      if (!Array.isArray(page)) throw new Error(`a page was answered ${String(page)}`);
      cursor = String(page[0]);
      keys += Number(page[1]);
      sum = (sum + BigInt(String(page[2]))) % SUM_MAX;
    } while (cursor !== '0');
    const own = Number(await client.command('EXISTS', '~rl:node', '~rl:floor', '~rl:repairer'));
    const values = Number(await client.command('DBSIZE')) - keys - own;
    return { keys, values, sum: `${sum}` };
  } finally {
    client.close();
  }
}
