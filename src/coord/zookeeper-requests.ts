/**
 * The requests of ZooKeeper that the driver makes, as they go over the wire (zookeeper.jute, of 3.5 and later), and what their replies
 * say.
 */
import { createHash } from 'node:crypto';
import { type JuteReader, JuteWriter } from './jute.js';

/** ZooDefs.OpCode */
export const OP = {
  create: 1,
  delete: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  getAcl: 6,
  sync: 9,
  ping: 11,
  getChildren2: 12,
  check: 13,
  multi: 14,
  auth: 100,
  closeSession: -11,
} as const;

/** KeeperException.Code: those that mean something to the driver. */
export const CODE = {
  ok: 0,
  /** Of a part of a transaction that failed because of another part. */
  otherPart: -2,
  unimplemented: -6,
  badArguments: -8,
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  nodeExists: -110,
  authFailed: -115,
  /** Where `enforce.auth` is on. */
  passwordNeeded: -124,
} as const;

const PERMISSIONS_ALL = 31;
/** In a reply, in the place of an operation. */
const ERROR = -1;
/** No node has it: any version will do. */
export const ANY_VERSION = -1;

export interface Request<A> {
  readonly op: number;
  readonly body: JuteWriter;
  /** It may change something. */
  readonly isWrite: boolean;
  /** Of a reply without an error. */
  read(reply: JuteReader): A;
}

/** What the driver goes by, of a node's Stat. */
export interface Stat {
  /** The transaction that last changed its data. */
  readonly mzxid: number;
  /** Of its data, since it was created. */
  readonly version: number;
  /** Nodes in it. */
  readonly children: number;
}

export interface NodeData extends Stat {
  readonly data: string;
}

/** One change of a transaction. */
export interface Part {
  readonly op: number;
  readonly body: JuteWriter;
}

/** Who may do all with a node: an entry of ZooKeeper's ACLs. */
export interface Owner {
  readonly scheme: string;
  readonly id: string;
}

export const EVERYBODY: Owner = { scheme: 'world', id: 'anyone' };

/** Who gives that password, and nobody else: neither the password nor a certificate alone will do (DigestAuthenticationProvider). */
export function ownerOf(username: string, password: string): Owner {
  const digest = createHash('sha1').update(`${username}:${password}`).digest('base64');
  return { scheme: 'digest', id: `${username}:${digest}` };
}

export function createPart(path: string, data: string, { scheme, id }: Owner): Part {
  const body = new JuteWriter().text(path).text(data);
  return { op: OP.create, body: body.int(1).int(PERMISSIONS_ALL).text(scheme).text(id).int(0) };
}

export function setDataPart(path: string, data: string, version: number): Part {
  return { op: OP.setData, body: new JuteWriter().text(path).text(data).int(version) };
}

export function deletePart(path: string, version: number): Part {
  return { op: OP.delete, body: new JuteWriter().text(path).int(version) };
}

export function checkPart(path: string, version: number): Part {
  return { op: OP.check, body: new JuteWriter().text(path).int(version) };
}

/** The Stat of each part that writes data; or the code of the one that failed, and nothing was changed. */
export type MultiReply = { kind: 'done'; stats: (Stat | null)[] } | { kind: 'failed'; code: number };

/** All parts or none. Goes through a majority in any case, also when it fails. */
export function multi(...parts: Part[]): Request<MultiReply> {
  const body = new JuteWriter();
  for (const part of parts) body.int(part.op).bool(false).int(-1).append(part.body);
  body.int(-1).bool(true).int(-1);
  return { op: OP.multi, body, isWrite: true, read: readMulti };
}

export function create(path: string, data: string, owner: Owner): Request<null> {
  return { ...createPart(path, data, owner), isWrite: true, read: () => null };
}

export function getData(path: string, isWatched: boolean): Request<NodeData> {
  const body = new JuteWriter().text(path).bool(isWatched);
  const read = (reply: JuteReader) => ({ data: reply.text(), ...readStat(reply) });
  return { op: OP.getData, body, isWrite: false, read };
}

export function exists(path: string, isWatched: boolean): Request<Stat> {
  return { op: OP.exists, body: new JuteWriter().text(path).bool(isWatched), isWrite: false, read: readStat };
}

/** Who may do something with a node. */
export function getAcl(path: string): Request<Owner[]> {
  const owner = (reply: JuteReader) => {
    reply.int();
    return { scheme: reply.text(), id: reply.text() };
  };
  const read = (reply: JuteReader) => Array.from({ length: Math.max(0, reply.int()) }, () => owner(reply));
  return { op: OP.getAcl, body: new JuteWriter().text(path), isWrite: false, read };
}

export function getChildren(path: string, isWatched: boolean): Request<string[]> {
  const body = new JuteWriter().text(path).bool(isWatched);
  const read = (reply: JuteReader) => Array.from({ length: Math.max(0, reply.int()) }, () => reply.text());
  return { op: OP.getChildren2, body, isWrite: false, read };
}

/** Answered when the server has all that its leader had. */
export function sync(path: string): Request<null> {
  return { op: OP.sync, body: new JuteWriter().text(path), isWrite: false, read: () => null };
}

function readMulti(reply: JuteReader): MultiReply {
  const stats: (Stat | null)[] = [];
  const codes: number[] = [];
  for (;;) {
    const [op, isLast] = [reply.int(), reply.bool(), reply.int()];
    if (isLast) break;
    if (op === ERROR) {
      codes.push(reply.int());
      continue;
    }
    if (op === OP.create) reply.text();
    stats.push(op === OP.setData ? readStat(reply) : null);
  }
  // Where one part has failed, all have a code: those before it none, those behind it that of having failed with it.
  const code = codes.find((code) => code !== CODE.ok && code !== CODE.otherPart);
  return code === undefined ? { kind: 'done', stats } : { kind: 'failed', code };
}

function readStat(reply: JuteReader): Stat {
  const [, mzxid] = [reply.long(), reply.long(), reply.long(), reply.long()];
  const version = reply.int();
  for (const skip of ['int', 'int', 'long', 'int'] as const) reply[skip]();
  const children = reply.int();
  reply.long();
  return { mzxid: safeNumber(mzxid as bigint), version, children };
}

/** A zxid has the leader's epoch above 32 bits: after two million elections it is no safe number any more. */
export function safeNumber(zxid: bigint): number {
  const number = Number(zxid);
  if (!Number.isSafeInteger(number)) throw new RangeError(`the zxid ${zxid} is too large`);
  return number;
}
