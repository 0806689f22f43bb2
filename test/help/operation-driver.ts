/**
 * Carries out the operations of src/replica on real servers, without ballots: what is to be read first is read, what the plan
 * says is done in one MULTI block. For tests of the forms alone.
 */
import { NEVER } from '../../src/replica/ballot.js';
import type { Command, Commands, Replies } from '../../src/replica/commands.js';
import type { KeyOperation, KeyPlan } from '../../src/replica/key-operation.js';
import type { BaseFacts } from '../../src/replica/operation.js';
import { parseReply } from './reference-parser.js';
import { encodeWords, RespClient } from './resp-client.js';

export interface Carried {
  /** The client's. */
  reply: Buffer;
  /** Null for reads, which need none. */
  plan: KeyPlan | null;
}

export class OperationDriver {
  readonly client: RespClient;

  private constructor(client: RespClient) {
    this.client = client;
  }

  static async connect(port: number, protocol: 2 | 3, database = 0): Promise<OperationDriver> {
    const client = await RespClient.connect(port);
    await client.command('HELLO', `${protocol}`);
    await client.command('SELECT', `${database}`);
    return new OperationDriver(client);
  }

  /** The replies to commands in one block, each a whole frame. */
  async block(list: readonly Command[]): Promise<Replies> {
    if (list.length === 0) return [];
    this.client.send(Buffer.concat([encodeWords(['MULTI']), ...list.map((words) => encodeWords(words)), EXEC]));
    for (let count = 0; count <= list.length; count++) await this.client.next();
    return elementsOf(await this.client.next());
  }

  /** What a round knows of the key's state; the clock is this machine's. */
  async factsOf(key: string, nowMs = Date.now()): Promise<BaseFacts> {
    const live = (await this.client.command('EXISTS', key)) === 1;
    const expireAt = live ? Number(await this.client.command('PEXPIRETIME', key)) : 0;
    return { accepted: NEVER, live, expireAt: Math.max(expireAt, 0), nowMs, isOwnExpired: false };
  }

  /** The plan for that base; what is to be read first is read here. */
  async plan(operation: KeyOperation, base: BaseFacts): Promise<KeyPlan> {
    let plan = operation.plan(base, null);
    while (plan.kind === 'read') plan = operation.plan(base, await this.block(plan.commands.list));
    return plan;
  }

  async carryOut(operation: KeyOperation, base: BaseFacts): Promise<Carried> {
    if (operation.reads !== null) return { reply: await this.readReply(operation), plan: null };
    const plan = await this.plan(operation, base);
    return { reply: await this.perform(plan), plan };
  }

  /** Does what the plan says. Returns the client's reply. */
  async perform(plan: KeyPlan): Promise<Buffer> {
    if (plan.kind === 'read') throw new Error('it is to be read first');
    return only(plan.reply(await this.block(plan.commands.list)));
  }

  private async readReply({ reads, readReply }: KeyOperation): Promise<Buffer> {
    return only(readReply(await this.block((reads as Commands).list)));
  }

  close(): void {
    this.client.close();
  }
}

const EXEC = encodeWords(['EXEC']);

function only(replies: Replies): Buffer {
  if (replies.length !== 1) throw new Error(`${replies.length} replies for one client`);
  return Buffer.from(replies[0] as Uint8Array);
}

/** Of EXEC's array. */
function elementsOf(reply: Buffer): Buffer[] {
  if (reply[0] !== 0x2a) throw new Error(`EXEC: ${reply.toString('latin1').slice(0, 200)}`);
  const elements: Buffer[] = [];
  for (let at = reply.indexOf('\n') + 1; at < reply.length; ) {
    const end = parseReply(reply, at)?.end as number;
    elements.push(reply.subarray(at, end));
    at = end;
  }
  return elements;
}
