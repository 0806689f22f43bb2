/**
 * INFO: the nodes' texts as one, with what the proxy knows better, and a section about the proxy itself.
 *
 * Its fields all begin with `ringleader_`, since clients put the fields of all sections into one map.
 *
 * INFO is answered while any node is: clients ask it before anything else and would not connect at all. Nodes that did not
 * answer are named in the proxy's section, which then is there whatever was asked for.
 */
import type { Counts } from '../base/metrics.js';
import type { ProcessFacts } from '../messages.js';
import { TYPE } from '../resp/frame.js';
import { type Protocol, verbatimReply } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { formatSection, mergeInfoTexts, type OwnFields } from './info.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

/** A node as this worker sees it. */
export interface NodeFacts {
  name: string;
  address: string;
  state: 'up' | 'connecting' | 'down';
  /** As it said at the last greeting, or ''. */
  version: string;
  /** Commands that wait for a reply, or to be sent. */
  queued: number;
}

/** What the proxy knows of itself. */
export interface ProxyFacts {
  process: ProcessFacts;
  /** The first TCP port that the session's service listens on, or 0. */
  port: number;
  /** Whether it answers cluster clients. */
  isCluster: boolean;
  uptimeSeconds: number;
  connectedClients: number;
  clientsMax: number;
  topologyVersion: number;
  /** Of all workers; the others' are up to half a second old, but for those of clients (Metrics.publishClients). */
  counts: Counts;
  nodes: readonly NodeFacts[];
}

/** The sections that INFO is asked for, in any case, which contain that of the proxy. */
const SECTIONS_WITH_OURS: ReadonlySet<string> = new Set(['default', 'all', 'everything', 'ringleader']);

/** Whether INFO with these arguments shows the proxy's section, and whether it shows nothing else. */
export function asksForOurs(sections: readonly string[]): 'no' | 'also' | 'only' {
  const asked = sections.map((section) => section.toLowerCase());
  if (asked.length === 0) return 'also';
  if (asked.every((section) => section === 'ringleader')) return 'only';
  return asked.some((section) => SECTIONS_WITH_OURS.has(section)) ? 'also' : 'no';
}

/** The reply to `INFO ringleader`. */
export function ownInfo(facts: ProxyFacts, protocol: Protocol): Uint8Array {
  return verbatimReply(ownSection(facts, []), protocol);
}

/** Makes one INFO reply of the nodes', in the form (bulk string, or verbatim in RESP3) of theirs; once for all sessions. */
export class InfoPolicy implements ResponsePolicy {
  readonly inWords = 'field by field';
  readonly needsOne = true;
  private readonly facts: () => ProxyFacts;
  private readonly hasOurs: boolean;
  private reply: Uint8Array | null = null;

  constructor(facts: () => ProxyFacts, hasOurs: boolean) {
    this.facts = facts;
    this.hasOurs = hasOurs;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return bytes[part.start] === TYPE.bulk || bytes[part.start] === TYPE.verbatim;
  }

  write(parts: Parts, output: Output): void {
    this.reply ??= this.merge(parts);
    output.appendBytes(this.reply);
  }

  private merge(parts: Parts): Uint8Array {
    const texts: string[] = [];
    const missing: string[] = [];
    let protocol: Protocol = 2;
    for (let index = 0; index < parts.partCount; index++) {
      const part = parts.part(index);
      if (part.failure !== null || !this.fits(parts.bytes, part)) {
        missing.push(part.nodeName);
        continue;
      }
      texts.push(infoText(parts.bytes, part));
      if (parts.bytes[part.start] === TYPE.verbatim) protocol = 3;
    }
    const facts = this.facts();
    const sections = [mergeInfoTexts(texts, ownFields(facts))];
    if (this.hasOurs || missing.length > 0) sections.push(ownSection(facts, missing));
    return verbatimReply(sections.filter((text) => text !== '').join('\r\n'), protocol);
  }
}

const decoder = new TextDecoder();

/** What the bulk or verbatim string says that the reply of `part` is. */
function infoText(bytes: Uint8Array, { start, bytes: length }: Part): string {
  const body = decoder.decode(bytes.subarray(bytes.indexOf(0x0a, start) + 1, start + length - 2));
  return bytes[start] === TYPE.verbatim ? body.slice(4) : body;
}

function ownFields({ process, port, isCluster, connectedClients, clientsMax, counts }: ProxyFacts): OwnFields {
  return {
    redis_mode: 'standalone',
    process_id: process.id,
    run_id: process.runId,
    tcp_port: port,
    connected_clients: connectedClients,
    maxclients: clientsMax,
    blocked_clients: counts.sessionsPaused + counts.sessionsWaiting + counts.locksWaiting,
    tracking_clients: counts.sessionsTracking,
    total_connections_received: counts.sessionsAccepted,
    rejected_connections: counts.sessionsRefused,
    // Some clients for a cluster ask for it first. What goes by the mode is how others treat several keys: as on one Redis.
    cluster_enabled: isCluster ? 1 : 0,
  };
}

/** `missing`: the nodes whose figures are not in the other sections. */
function ownSection(facts: ProxyFacts, missing: readonly string[]): string {
  const { process, uptimeSeconds, topologyVersion, counts, nodes } = facts;
  const up = nodes.filter(({ state }) => state === 'up').length;
  const fields: [string, string | number][] = [
    ['version', process.version],
    ['uptime_in_seconds', uptimeSeconds],
    ['workers', process.workers],
    ['transport', process.transport],
    ['topology_version', topologyVersion],
    ['nodes', nodes.length],
    ['nodes_up', up],
    ['nodes_down', nodes.length - up],
    ['nodes_missing', missing.join(',')],
    ...Object.entries(counts).map(([name, count]): [string, number] => [inSnakeCase(name), count]),
    ...nodes.map(({ name, address, state, version, queued }, index): [string, string] => {
      return [`node${index}`, `name=${name},address=${address},state=${state},version=${version},queued=${queued}`];
    }),
  ];
  return formatSection(
    'Ringleader',
    fields.map(([name, value]) => [`ringleader_${name}`, value]),
  );
}

/** `sessionsOpen` becomes `sessions_open`, as INFO's fields are written. */
function inSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
