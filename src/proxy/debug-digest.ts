/**
 * DEBUG DIGEST over all shards: what one Redis would answer that had all their keys (debug.c: computeDatasetDigest).
 *
 *   digest of a database's keys = begin(database) xor digest(key) xor digest(key) xor …     begin(database) = sha1(sha1(number))
 *
 * So the digests of nodes whose keys are in one and the same database come together by xor. Redis goes on from one database to the
 * next by a hash, which cannot be taken apart: where several databases have keys there is no answer.
 */
import { createHash } from 'node:crypto';
import { textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { encodeCommand, errorReply } from '../resp/reply.js';
import { frameOf } from './node-frames.js';
import { type ResponsePolicy, unexpectedReply } from './response-policy.js';

/** What each node is asked besides: which databases have keys. */
export const ASK_KEYSPACE = encodeCommand(['INFO', 'keyspace']);

const SEVERAL_DATABASES = errorReply(
  'ERR DEBUG DIGEST is refused: several databases have keys, and then the digest of all nodes does not follow from theirs',
);
const DIGEST_BYTES = 20;
const HEX = /^[0-9a-f]{40}$/;

/** Of each node two parts: the reply to INFO keyspace, then that to DEBUG DIGEST. */
export const DIGEST: ResponsePolicy = {
  needsOne: false,
  fits: (bytes, { start }) => [TYPE.bulk, TYPE.verbatim, TYPE.simple].some((type) => type === bytes[start]),
  write: (parts, output) => {
    const { bytes } = parts;
    const databases = new Set<number>();
    const digests: Buffer[] = [];
    for (let index = 0; index < parts.partCount; index += 2) {
      const own = databasesOf(textOf(frameOf(bytes, parts.part(index))));
      const text = textOf(frameOf(bytes, parts.part(index + 1)));
      if (!HEX.test(text)) {
        output.appendBytes(unexpectedReply(bytes, parts.part(index + 1)));
        return;
      }
      for (const database of own) databases.add(database);
      if (own.length > 0) digests.push(Buffer.from(text, 'hex'));
    }
    const [database, another] = databases;
    if (another !== undefined) {
      output.appendBytes(SEVERAL_DATABASES);
      return;
    }
    const whole = Buffer.alloc(DIGEST_BYTES);
    const start = beginOf(database ?? 0);
    for (const digest of digests) xor(xor(whole, digest), start);
    if (digests.length > 0) xor(whole, start);
    output.appendBytes(Buffer.from(`+${whole.toString('hex')}\r\n`));
  },
};

function databasesOf(text: string): number[] {
  return [...text.matchAll(/^db(\d+):keys=/gm)].map(([, number]) => Number(number));
}

/** What a digest is before the first key of that database. */
function beginOf(database: number): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(database);
  return sha1(sha1(number));
}

function sha1(bytes: Buffer): Buffer {
  return createHash('sha1').update(bytes).digest();
}

/** `target` becomes that. */
function xor(target: Buffer, other: Buffer): Buffer {
  for (const [at, byte] of other.entries()) target[at] = (target[at] as number) ^ byte;
  return target;
}
