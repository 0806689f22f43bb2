/** A real Redis server as a node of replicated keys: has steps carried out on a connection of its own, as a worker does. */
import type { Test } from 'tap';
import { AcceptItem, headBytesMax, isOk, writeHead } from '../../src/replica/accept-item.js';
import type { Commands, Replies, Value } from '../../src/replica/commands.js';
import type { MemberAnswer, MemberStep, NodeRecord, ProcessId } from '../../src/replica/member-step.js';
import { encodeMemberStep } from '../../src/replica/node-member-step.js';
import { formatNodeRecord } from '../../src/replica/node-record.js';
import type { KeyAnswer, NodeStep, Unclear } from '../../src/replica/node-request.js';
import { encodeStep, nodeStepOf } from '../../src/replica/node-step.js';
import { encodeLoads, KEY_SCRIPTS, MEMBER_SCRIPTS } from '../../src/replica/scripts.js';
import type { Answer, Step } from '../../src/replica/step.js';
import { CommandWriter } from '../../src/resp/command-writer.js';
import { skipValue } from '../../src/resp/frame.js';
import { RedisServer, type RedisServerOptions } from './redis-server.js';
import { Push, parseReply } from './reference-parser.js';
import { RespClient } from './resp-client.js';

const SCRIPTS = [...KEY_SCRIPTS, ...MEMBER_SCRIPTS];

export class ReplicaNode {
  readonly client: RespClient;
  /** What came unasked, the names that invalidations tell aside. */
  pushes = 0;
  /** Whether it is asked as one that may have no memory left. */
  isFull = false;

  private constructor(client: RespClient) {
    this.client = client;
  }

  /** A connection in RESP3 that hears of changes of `~rl:node`, with all scripts loaded. */
  static async connect(port: number): Promise<ReplicaNode> {
    const node = new ReplicaNode(await RespClient.connect(port));
    await node.client.raw('HELLO', '3');
    await node.client.raw('CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', '~rl:node');
    await node.loadScripts();
    return node;
  }

  async loadScripts(): Promise<void> {
    this.client.send(encodeLoads(SCRIPTS));
    for (const { sha } of SCRIPTS) {
      const reply = (await this.nextReply()).toString();
      if (reply !== `$40\r\n${sha}\r\n`) throw new Error(`SCRIPT LOAD: ${reply}`);
    }
  }

  async perform(step: Step<Commands, Value>, key: Uint8Array, record: string): Promise<Answer<Replies, Value>> {
    const { isFull } = this;
    const encoded = encodeStep(step, key, Buffer.from(record), Number.POSITIVE_INFINITY, isFull);
    const replies = await this.exchange(encoded.frames, encoded.replyCount);
    const answer = encoded.decode(replies) as KeyAnswer | Unclear;
    checkPlainAnswer(nodeStepOf(step, key, isFull), replies, Buffer.from(record), answer);
    if (answer.kind !== 'unclear') return answer;
    const clear = encodeStep(step, key, Buffer.from(record));
    return clear.decode(await this.exchange(clear.frames, clear.replyCount));
  }

  /**
   * As many steps in one call, all of which are to be items of it. Null: the reply is not one to each of them; `refusal` is what it says.
   */
  async performTogether(
    asked: readonly { step: Step<Commands, Value>; key: Uint8Array }[],
    record: string,
  ): Promise<{ answers: KeyAnswer[] | null; reply: Buffer }> {
    const items = asked.map(({ step, key }) => {
      const item = nodeStepOf(step, key);
      if (!(item instanceof AcceptItem)) throw new Error('one of the steps goes alone');
      return item;
    });
    const expected = Buffer.from(record);
    const words = items.reduce((sum, item) => sum + item.words, 0);
    const room = Buffer.alloc(headBytesMax(expected.length) + items.reduce((sum, item) => sum + item.itemBytesMax, 0));
    const writer = new CommandWriter();
    writer.aim(room, 0);
    writeHead(writer, words, expected);
    for (const item of items) item.writeItem(writer);
    const [reply] = (await this.exchange(room.subarray(0, writer.at), 1)) as [Buffer];
    if (isOk(reply, 0)) return { answers: items.map(({ okAnswer }) => okAnswer), reply };
    if (reply[0] !== ARRAY) return { answers: null, reply };
    let at = reply.indexOf('\n') + 1;
    const answers = items.map((item) => {
      const start = at;
      at = skipValue(reply, start);
      return item.answerIn(Buffer.from(reply), start, at);
    });
    if (at !== reply.length) throw new Error(`${items.length} steps were answered ${reply}`);
    return { answers, reply };
  }

  async performMember(step: MemberStep<Uint8Array, Value>, record: string): Promise<MemberAnswer<Uint8Array>> {
    const encoded = encodeMemberStep(step, Buffer.from(record));
    return encoded.decode(await this.exchange(encoded.frames, encoded.replyCount));
  }

  /** Sends the frames, and resolves with so many replies to them. */
  async exchange(frames: Uint8Array, replyCount: number): Promise<Buffer[]> {
    this.client.send(frames);
    const replies: Buffer[] = [];
    while (replies.length < replyCount) replies.push(await this.nextReply());
    return replies;
  }

  /** The next reply that is no push. */
  async nextReply(): Promise<Buffer> {
    for (;;) {
      const frame = await this.client.next();
      if (!(parseReply(frame)?.value instanceof Push)) return frame;
      this.pushes++;
    }
  }

  /** Makes it a member at once, and says by which record. */
  async admit(): Promise<string> {
    const look = await this.performMember({ kind: 'look' }, '');
    if (look.kind !== 'facts') throw new Error(`look: ${look.kind}`);
    const record = memberRecord(look.process);
    const { process } = look;
    const answer = await this.performMember({ kind: 'admit', expected: look.record, process, record, epoch: null }, '');
    if (answer.kind !== 'admitted') throw new Error(`admit: ${answer.kind}`);
    return record;
  }
}

/** A server of one's own, which ends with the test. */
export async function startReplicaNode(t: Test, options: RedisServerOptions = {}): Promise<[RedisServer, ReplicaNode]> {
  const server = await RedisServer.start(options);
  t.teardown(() => server.stop());
  const node = await ReplicaNode.connect(server.port);
  t.teardown(() => node.client.close());
  return [server, node];
}

export function memberRecord(process: ProcessId, change: Partial<NodeRecord> = {}): string {
  return formatNodeRecord({
    clusterId: 'c0ffee',
    name: 'node 1',
    admission: { epoch: 0, count: 1 },
    process,
    status: { kind: 'member' },
    ...change,
  });
}

/** What is read where it lies is what is made of the replies when they are taken apart. Throws if not. */
function checkPlainAnswer(
  step: NodeStep,
  replies: readonly Buffer[],
  record: Buffer,
  answer: KeyAnswer | Unclear,
): void {
  const last = replies.at(-1) as Buffer;
  if (replies.slice(0, -1).some((reply) => reply[0] !== PLUS)) return;
  // Between what others have sent.
  const bytes = Buffer.concat([Buffer.from(':1\r\n'), last, Buffer.from('+OK\r\n')]);
  const plain = step.plainAnswer(bytes, 4, 4 + last.length, record);
  bytes.fill(0);
  if (plain !== null && asText(plain) !== asText(answer))
    throw new Error(`${last} is read as ${asText(plain)} where it lies, and else as ${asText(answer)}`);
}

const PLUS = 0x2b;
const ARRAY = 0x2a;

function asText(answer: KeyAnswer | Unclear): string {
  // A Buffer, which has a form of its own in JSON, and an array of bytes may hold the same.
  return JSON.stringify(answer, (_, value) => {
    if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
    return value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value;
  });
}
