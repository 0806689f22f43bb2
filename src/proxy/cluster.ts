/**
 * CLUSTER, READONLY, READWRITE and ASKING: the proxy as a Redis Cluster of one node that has all slots, at the address by which the
 * client has come. So clients made for a cluster connect, and find every key there; nobody is sent elsewhere. Replies are those of a
 * Redis 7.0 with `cluster-enabled yes` that is alone, but that there is no bus (port 0).
 *
 * What counts the keys of a slot asks nodes: slot-walks.ts.
 */
import { createHash } from 'node:crypto';
import { announcedAt } from '../base/announced.js';
import { readEndpoint } from '../base/endpoint.js';
import type { CommandSpec } from '../resp/command-spec.js';
import {
  arrayHeader,
  bulkReply,
  encodeMap,
  errorReply,
  integerReply,
  mapHeader,
  type Protocol,
  REPLY_EMPTY_ARRAY,
  REPLY_OK,
  verbatimReply,
} from '../resp/reply.js';
import { SLOT_COUNT, slotOf } from '../routing/slot.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

/** The proxy as a node: where clients are told to connect. */
interface ClusterNode {
  /** 40 hexadecimal digits, the same whenever a proxy is at that address. */
  id: string;
  /** '' for who came by a unix socket: the host that the client knows. */
  host: string;
  port: number;
}

/** The arguments of a command. */
interface Words {
  raw(index: number): Uint8Array;
  /** A character a byte. */
  text(index: number): string;
}

type Answer = (node: ClusterNode, protocol: Protocol, words: Words) => Uint8Array;

/** What a Redis says that is not part of a cluster: keys that twemproxy's rules place have no slots. */
export const NO_CLUSTER = errorReply('ERR This instance has cluster support disabled');

const SLOT_LAST = SLOT_COUNT - 1;

const HELP = [
  'CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'COUNT-FAILURE-REPORTS <node-id>',
  '    Return number of failure reports for <node-id>.',
  'COUNTKEYSINSLOT <slot>',
  '    Return the number of keys in <slot>.',
  'GETKEYSINSLOT <slot> <count>',
  '    Return key names stored by current node in a slot.',
  'INFO',
  '    Return information about the cluster.',
  'KEYSLOT <key>',
  '    Return the hash slot for <key>.',
  'MYID',
  '    Return the node id.',
  'NODES',
  '    Return cluster configuration seen by node. Output format:',
  '    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...',
  'REPLICAS <node-id>',
  '    Return <node-id> replicas.',
  'SLOTS',
  '    Return information about slots range mappings. Each range is made of:',
  '    start, end, master and replicas IP addresses, ports and ids',
  'SHARDS',
  '    Return information about slot range mappings and the nodes associated with them.',
  'LINKS',
  '    Return information about all network links between this node and its peers.',
  '    Output format is an array where each array element is a map containing attributes of a link',
  'HELP',
  '    Prints this help.',
];

/** In the order of Redis. There are no messages, since there is nobody else. */
const INFO = [
  'cluster_state:ok',
  `cluster_slots_assigned:${SLOT_COUNT}`,
  `cluster_slots_ok:${SLOT_COUNT}`,
  'cluster_slots_pfail:0',
  'cluster_slots_fail:0',
  'cluster_known_nodes:1',
  'cluster_size:1',
  'cluster_current_epoch:0',
  'cluster_my_epoch:0',
  'cluster_stats_messages_sent:0',
  'cluster_stats_messages_received:0',
  'total_cluster_links_buffer_limit_exceeded:0',
];

const ANSWERS: Readonly<Record<string, Answer>> = {
  asking: () => REPLY_OK,
  readonly: () => REPLY_OK,
  readwrite: () => REPLY_OK,
  'cluster|count-failure-reports': ({ id }, _protocol, words) =>
    words.text(2) === id ? integerReply(0) : unknownNode(words.text(2)),
  'cluster|help': () => Buffer.concat([arrayHeader(HELP.length), ...HELP.map((line) => Buffer.from(`+${line}\r\n`))]),
  'cluster|info': (_node, protocol) => verbatimReply(INFO.map((line) => `${line}\r\n`).join(''), protocol),
  'cluster|keyslot': (_node, _protocol, words) => {
    const key = words.raw(2);
    return integerReply(slotOf(key, 0, key.length));
  },
  'cluster|links': () => REPLY_EMPTY_ARRAY,
  'cluster|myid': ({ id }) => bulkReply(id),
  'cluster|nodes': ({ id, host, port }, protocol) =>
    verbatimReply(`${id} ${host}:${port}@0 myself,master - 0 0 0 connected 0-${SLOT_LAST}\n`, protocol),
  'cluster|replicas': replicas,
  'cluster|slaves': replicas,
  'cluster|shards': ({ id, host, port }, protocol) => {
    const node: [string, string | number][] = [
      ['id', id],
      ['port', port],
      ['ip', host],
      ['endpoint', host],
      ['role', 'master'],
      ['replication-offset', 0],
      ['health', 'online'],
    ];
    const slots = [bulkReply('slots'), arrayHeader(2), integerReply(0), integerReply(SLOT_LAST)];
    const nodes = [bulkReply('nodes'), arrayHeader(1), encodeMap(node, protocol)];
    return Buffer.concat([arrayHeader(1), mapHeader(2, protocol), ...slots, ...nodes]);
  },
  'cluster|slots': ({ id, host, port }, protocol) => {
    const shown = [arrayHeader(4), bulkReply(host), integerReply(port), bulkReply(id), mapHeader(0, protocol)];
    return Buffer.concat([arrayHeader(1), arrayHeader(3), integerReply(0), integerReply(SLOT_LAST), ...shown]);
  },
};

/** By the names of their commands. `service` is the session's. */
export const CLUSTER_ANSWERS: Readonly<
  Record<string, (session: Session, words: Words, service: Service) => Uint8Array>
> = Object.fromEntries(
  Object.entries(ANSWERS).map(([name, answer]) => [
    name,
    (session, words, service) =>
      service.hasSlots ? answer(nodeAt(service, session), session.protocol, words) : NO_CLUSTER,
  ]),
);

/** Why a command is not carried out at all, by its row of the table. */
export function rejection({ group, reason }: CommandSpec, { hasSlots }: Service): Uint8Array {
  return group === 'cluster' && !hasSlots ? NO_CLUSTER : errorReply(reason);
}

function replicas({ id }: ClusterNode, _protocol: Protocol, words: Words): Uint8Array {
  return words.text(2) === id ? REPLY_EMPTY_ARRAY : unknownNode(words.text(2));
}

function unknownNode(id: string): Uint8Array {
  return errorReply(`ERR Unknown node ${id.replaceAll(/[\r\n]/g, ' ')}`);
}

function nodeAt({ announced, port: firstPort }: Service, { connection }: Session): ClusterNode {
  const local = connection.localAddress();
  const here = readEndpoint(local);
  const reached = here?.kind === 'tcp' ? here : { host: '', port: firstPort };
  const { host, port } = announcedAt(announced, local) ?? reached;
  const id = createHash('sha1').update(`ringleader ${host}:${port}`).digest('hex');
  return { id, host, port };
}
