/** etcd's own lock (v3lock.proto, rpc.proto): by gRPC to the leader, each client with a lease of its own, as a session has one. */

import type { EtcdTarget } from '../replicated/etcd.js';
import { field, GrpcConnection } from '../replicated/grpc.js';
import type { LockClients, LockTarget } from './lock-client.js';

const TTL_S = 60n;
/** Clients that share a connection, as gRPC has it. */
const CLIENTS_PER_CONNECTION = 8;

// LockRequest: name, lease. LockResponse: header, key. UnlockRequest: key. LeaseGrantRequest: ttl. LeaseGrantResponse: header, id.
const NAME = 1;
const LEASE = 2;
const KEY_OF_LOCK = 2;
const KEY = 1;
const TTL = 1;
const ID = 2;

export function etcdLocks({ label, serverPids, url }: EtcdTarget): LockTarget {
  return { label: `${label}'s lock`, proxyPid: null, serverPids, connect: (clients) => connectTo(url, clients) };
}

async function connectTo(url: string, clients: number): Promise<LockClients> {
  const count = Math.ceil(clients / CLIENTS_PER_CONNECTION);
  const connections = await Promise.all(
    Array.from({ length: count }, () => GrpcConnection.connect(url, 'v3lockpb.Lock')),
  );
  const leases = await GrpcConnection.connect(url, 'etcdserverpb.Lease');
  const ids = await Promise.all(
    Array.from({ length: clients }, async () => varintIn(await leases.call('LeaseGrant', varint(TTL, TTL_S)), ID)),
  );
  return {
    acquire: async (client, name) => {
      const connection = connections[client % count] as GrpcConnection;
      const wish = Buffer.concat([field(NAME, Buffer.from(name)), varint(LEASE, ids[client] as bigint)]);
      const key = bytesIn(await connection.call('Lock', wish), KEY_OF_LOCK);
      return async () => {
        await connection.call('Unlock', field(KEY, key));
      };
    },
    close: () => {
      for (const connection of [...connections, leases]) connection.close();
    },
  };
}

/** A varint field of a protobuf message (wire type 0): its number, below 16, and a value of 64 bits. */
function varint(number: number, value: bigint): Buffer {
  const bytes = [number << 3];
  for (; value > 127n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
  bytes.push(Number(value));
  return Buffer.from(bytes);
}

function varintIn(message: Buffer, number: number): bigint {
  const found = fieldsOf(message).get(number);
  if (typeof found !== 'bigint') throw new Error(`etcd's answer has no number ${number}`);
  return found;
}

function bytesIn(message: Buffer, number: number): Buffer {
  const found = fieldsOf(message).get(number);
  if (!Buffer.isBuffer(found)) throw new Error(`etcd's answer has no field ${number}`);
  return found;
}

/** Varints and length-delimited fields, which is all that these messages have. */
function fieldsOf(message: Buffer): Map<number, bigint | Buffer> {
  const fields = new Map<number, bigint | Buffer>();
  let at = 0;
  const next = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++] as number;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const head = Number(next());
    const value = next();
    if ((head & 7) === 0) fields.set(head >> 3, value);
    else {
      fields.set(head >> 3, message.subarray(at, at + Number(value)));
      at += Number(value);
    }
  }
  return fields;
}
