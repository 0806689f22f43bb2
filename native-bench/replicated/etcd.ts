/** Three members of etcd, and clients of its leader: the best that a client of etcd can do, since followers pass everything on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../test/help/free-port.js';
import { BenchmarkError, type Children } from '../compare/children.js';
import type { Peer } from '../compare/programs.js';
import { field, GrpcConnection } from './grpc.js';
import type { Ask, Target } from './load.js';

const HOST = '127.0.0.1';
const MEMBERS = ['a', 'b', 'c'];
const START_MS_MAX = 30_000;

/** PutRequest and RangeRequest have the key as field 1; PutRequest has the value as field 2. A range is linearizable unless it says otherwise. */
const KEY = 1;
const VALUE = 2;

export interface EtcdTarget extends Target {
  /** Of the leader. */
  url: string;
}

export async function startEtcd(children: Children, { program, env }: Peer): Promise<EtcdTarget> {
  const members: { name: string; url: string; peerUrl: string; pid: number }[] = [];
  for (const name of MEMBERS) {
    members.push({ name, url: await freeUrl(), peerUrl: await freeUrl(), pid: 0 });
  }
  const cluster = members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
  for (const member of members) {
    const { name, url, peerUrl } = member;
    const label = `etcd-${name}`;
    member.pid = children.start(
      label,
      program,
      [
        ...['--name', name, '--data-dir', children.folder(label), '--log-level', 'error'],
        ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ...['--initial-cluster', cluster, '--initial-cluster-state', 'new'],
      ],
      { env },
    );
  }
  const leader = await findLeader(members.map(({ url }) => url));
  return {
    label: 'etcd',
    url: leader,
    serverPids: members.map(({ pid }) => pid),
    proxyPid: null,
    connect: (size, connections) => connectTo(leader, size, connections),
  };
}

async function freeUrl(): Promise<string> {
  return `http://${HOST}:${await freePort()}`;
}

/** Its gateway for JSON tells who leads; what is measured goes by gRPC. */
async function findLeader(urls: readonly string[]): Promise<string> {
  for (const deadlineMs = performance.now() + START_MS_MAX; performance.now() < deadlineMs; await sleep(100)) {
    for (const url of urls) {
      try {
        const response = await fetch(`${url}/v3/maintenance/status`, { method: 'POST', body: '{}' });
        const { leader, header } = (await response.json()) as { leader?: string; header?: { member_id: string } };
        if (leader !== undefined && leader === header?.member_id) return url;
      } catch {
        // Not there yet.
      }
    }
  }
  throw new BenchmarkError(`etcd has no leader after ${START_MS_MAX / 1000} s`);
}

async function connectTo(
  url: string,
  size: number,
  count: number,
): Promise<{ write: Ask; read: Ask; close: () => void }> {
  const connections = await Promise.all(
    Array.from({ length: count }, () => GrpcConnection.connect(url, 'etcdserverpb.KV')),
  );
  const value = field(VALUE, Buffer.alloc(size, 'x'));
  const of = (client: number) => connections[client % count] as GrpcConnection;
  return {
    write: async (client, key) => {
      await of(client).call('Put', Buffer.concat([field(KEY, Buffer.from(key)), value]));
    },
    read: async (client, key) => {
      const answer = await of(client).call('Range', field(KEY, Buffer.from(key)));
      if (answer.length < size) throw new BenchmarkError(`${key} is not there`);
    },
    close: () => {
      for (const connection of connections) connection.close();
    },
  };
}
