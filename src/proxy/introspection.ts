/**
 * INFO as one server would answer it: the texts of all nodes made one.
 *
 * Each field has a rule; a field without one is the first node's. Figures of clients are the proxy's own.
 */
import { TYPE } from '../resp/frame.js';
import { verbatimReply } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

/** What the proxy itself knows better than the nodes. */
export interface ProxyFacts {
  connectedClients: number;
  clientsMax: number;
}

/** `bound`: the sum, but 0, which is no bound, where one has none. */
type Rule = 'sum' | 'largest' | 'smallest' | 'bound';

const RULES: readonly [RegExp, Rule][] = [
  [/^loading$|^async_loading$|^(rdb|aof)_.*in_progress$/, 'largest'],
  [/^uptime_in_(seconds|days)$/, 'smallest'],
  [/_perc$|_ratio$|_human$|_time_usec$|^latest_fork_usec$|_time_sec$|_last_save_time$/, 'largest'],
  [/^maxmemory$/, 'bound'],
  [/^used_memory|^allocator_(allocated|active|resident)$|^total_system_memory$|^mem_/, 'sum'],
  [/^total_|^instantaneous_|^keyspace_|^expired_|^evicted_|^rejected_|^sync_|^pubsub_|^tracking_|^unexpected_/, 'sum'],
  [/^(current_|lazyfree|number_of_|active_defrag|acl_access|io_threaded|dump_payload|lazyfreed|used_cpu)/, 'sum'],
  [/^(blocked_clients|connected_slaves|rdb_changes_since_last_save|number_of_cached_scripts)$/, 'sum'],
];

const decoder = new TextDecoder();

/** Makes one INFO reply of the nodes', once for all sessions that wait for it. */
export class InfoPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly facts: ProxyFacts;
  private reply: Uint8Array | null = null;

  constructor(facts: ProxyFacts) {
    this.facts = facts;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return bytes[part.start] === TYPE.bulk || bytes[part.start] === TYPE.verbatim;
  }

  write(parts: Parts, output: Output): void {
    this.reply ??= this.merge(parts);
    output.appendBytes(this.reply);
  }

  private merge(parts: Parts): Uint8Array {
    const replies: Uint8Array[] = [];
    for (let index = 0; index < parts.partCount; index++) {
      const { start, bytes } = parts.part(index);
      replies.push(parts.bytes.subarray(start, start + bytes));
    }
    return mergeInfo(replies, this.facts);
  }
}

/** One INFO reply (a bulk string, or verbatim in RESP3) of the nodes' replies, in the form of the first. */
export function mergeInfo(replies: readonly Uint8Array[], facts: ProxyFacts): Uint8Array {
  const merged = mergeInfoTexts(replies.map(infoText), facts);
  return verbatimReply(merged, (replies[0] as Uint8Array)[0] === TYPE.verbatim ? 3 : 2);
}

/** The texts of INFO of several servers as one text. Lines stand in the order of the first, databases of all. */
export function mergeInfoTexts(texts: readonly string[], facts: ProxyFacts): string {
  const fields = texts.map(readFields);
  const first = texts[0] ?? '';
  const lines: string[] = [];
  for (const line of first.split('\r\n')) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    if (colon < 0 || line.startsWith('#')) {
      lines.push(line);
      if (line === '# Keyspace') lines.push(...mergeDatabases(fields));
    } else if (!/^db\d+$/.test(name)) {
      lines.push(`${name}:${mergeField(name, fields, facts)}`);
    }
  }
  return lines.join('\r\n');
}

function infoText(reply: Uint8Array): string {
  const body = decoder.decode(reply.subarray(reply.indexOf(0x0a) + 1, reply.length - 2));
  return reply[0] === TYPE.verbatim ? body.slice(4) : body;
}

function readFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

function mergeField(name: string, fields: readonly Map<string, string>[], facts: ProxyFacts): string {
  if (name === 'connected_clients') return String(facts.connectedClients);
  if (name === 'maxclients') return String(facts.clientsMax);
  const texts = fields.map((map) => map.get(name)).filter((text) => text !== undefined);
  const first = texts[0] ?? '';
  if (/^(used_memory|maxmemory|total_system_memory)\w*_human$/.test(name)) {
    const plainName = name.replace(/_human$/, '');
    return humanBytes(mergeNumbers(ruleOf(plainName) ?? 'sum', numbersOf(plainName, fields)));
  }
  if (/^(rdb|aof)_.*_status$/.test(name)) return texts.find((text) => text !== 'ok') ?? first;
  const rule = ruleOf(name);
  const numbers = texts.map(Number);
  if (rule === undefined || numbers.some(Number.isNaN)) return first;
  const merged = mergeNumbers(rule, numbers);
  const decimals = first.includes('.') ? (first.split('.')[1] as string).length : 0;
  return merged.toFixed(decimals);
}

function ruleOf(name: string): Rule | undefined {
  return RULES.find(([pattern]) => pattern.test(name))?.[1];
}

function numbersOf(name: string, fields: readonly Map<string, string>[]): number[] {
  return fields.map((map) => Number(map.get(name) ?? 0));
}

function mergeNumbers(rule: Rule, numbers: readonly number[]): number {
  if (rule === 'bound' && numbers.includes(0)) return 0;
  if (rule === 'sum' || rule === 'bound') return numbers.reduce((sum, value) => sum + value, 0);
  return rule === 'largest' ? Math.max(...numbers) : Math.min(...numbers);
}

/** Redis's bytesToHuman. */
function humanBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  const units = ['K', 'M', 'G', 'T', 'P'];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(2)}${units[unit]}`;
}

/** `db0:keys=3,expires=1,avg_ttl=500`: keys add up, the mean time to live is weighted by the keys that have one. */
function mergeDatabases(fields: readonly Map<string, string>[]): string[] {
  const totals = new Map<number, { keys: number; expires: number; ttlSum: number }>();
  for (const map of fields) {
    for (const [name, text] of map) {
      const database = /^db(\d+)$/.exec(name)?.[1];
      const parts = /keys=(\d+),expires=(\d+),avg_ttl=(\d+)/.exec(text);
      if (database === undefined || parts === null) continue;
      const total = totals.get(Number(database)) ?? { keys: 0, expires: 0, ttlSum: 0 };
      total.keys += Number(parts[1]);
      total.expires += Number(parts[2]);
      total.ttlSum += Number(parts[2]) * Number(parts[3]);
      totals.set(Number(database), total);
    }
  }
  return [...totals.entries()]
    .sort(([left], [right]) => left - right)
    .map(([database, { keys, expires, ttlSum }]) => {
      return `db${database}:keys=${keys},expires=${expires},avg_ttl=${expires === 0 ? 0 : Math.round(ttlSum / expires)}`;
    });
}
