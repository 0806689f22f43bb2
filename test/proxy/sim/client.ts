/**
 * One client of a simulation: what it asks, by chance. Its values carry ids, so that no reply can pass for another's.
 */
import { Commands, expect } from './commands.js';
import type { Conversation } from './conversation.js';
import { DATABASES } from './redis.js';
import { SimTransactions } from './transactions.js';

export interface SimKeys {
  /** Keys that only this client writes, and keys that all do. */
  own: readonly string[];
  shared: readonly string[];
  /** Lists: two and two on the same node. */
  lists: readonly (readonly string[])[];
}

/** Mostly the same, so that clients meet. */
const DATABASES_WANTED = [0, 0, 0, 0, 1, 2, DATABASES - 1];

export class SimClient {
  readonly conversation: Conversation;
  /** It said QUIT, or garbage, or that it sends no more. */
  isLeaving = false;
  /** The step in which it said that it sends no more while a command might wait: nobody waits for that any more. */
  givenUpStep = Number.POSITIVE_INFINITY;
  private readonly keys: SimKeys;
  /** Whether it asks what may wait for others. */
  private readonly mayWait: boolean;
  private readonly commands: Commands;
  private readonly transactions: SimTransactions;

  constructor(conversation: Conversation, keys: SimKeys, valueBytesMax: number, mayWait: boolean) {
    this.conversation = conversation;
    this.keys = keys;
    this.mayWait = mayWait;
    this.commands = new Commands(conversation, valueBytesMax);
    this.transactions = new SimTransactions(conversation, this.commands, DATABASES);
  }

  get number(): number {
    return this.conversation.number;
  }

  issue(): void {
    if (this.isLeaving) return;
    const { commands, conversation, transactions, keys } = this;
    const { random } = conversation;
    const kind = random.below(100);
    if (kind < 16) conversation.ask(commands.get(this.pickKey()));
    else if (kind < 30) conversation.ask(commands.set(this.pickKey()));
    else if (kind < 38) conversation.ask(commands.mget(this.pickKeys()));
    else if (kind < 45) conversation.ask(commands.mset(this.pickKeys()));
    else if (kind < 51) conversation.ask(commands.del([this.pickKey()]));
    else if (kind < 56) conversation.ask(commands.del(this.pickKeys()));
    else if (kind < 61) conversation.ask(commands.append(random.pick(keys.own)));
    else if (kind < 66) conversation.ask(commands.exists(this.pickKeys()));
    else if (kind < 68) conversation.ask(commands.size(DATABASES));
    else if (kind < 72) conversation.ask(commands.echo());
    else if (kind < 74) this.askHello();
    else if (kind < 78) this.askSelect(random.pick(DATABASES_WANTED));
    else if (kind < 83) transactions.watch(this.pickKey(), this.allKeys, keys.lists.flat());
    else if (kind < 84) transactions.unwatch();
    else if (kind < 88) transactions.block(this.pickKey(), this.allKeys, keys.lists.flat());
    else if (kind < 91) conversation.ask(commands.push(random.pick(random.pick(keys.lists))));
    else if (kind < 97) this.askPop();
    else this.askUnblock();
  }

  /** Says good-bye in one of the ways there are. */
  leave(): void {
    if (this.isLeaving) return;
    const { conversation } = this;
    const kind = conversation.random.below(3);
    if (kind === 0) {
      conversation.ask({ words: ['QUIT'], ids: [], places: [], check: (reply) => expect(reply, '+OK\r\n') });
    } else if (kind === 1) {
      const error = '-ERR Protocol error: invalid multibulk length\r\n';
      const check = (reply: string) => expect(reply, error);
      conversation.askRaw('*x\r\n', { words: ['*x'], ids: [], places: [], check });
    } else {
      conversation.end();
      if (conversation.mayBlock) this.givenUpStep = conversation.history.step;
    }
    this.isLeaving = true;
  }

  /** Pushes an element to that list of that database. */
  feed(database: number, list: string): void {
    if (this.conversation.database !== database) this.askSelect(database);
    this.conversation.ask(this.commands.push(list));
  }

  /** Asks for all that it wrote. */
  askEverything(): void {
    const { conversation, commands, keys } = this;
    for (let database = 0; database < DATABASES; database++) {
      this.askSelect(database);
      for (const key of keys.own) conversation.ask(commands.get(key));
      conversation.ask(commands.mget([...keys.own, ...keys.shared]));
    }
  }

  private askHello(): void {
    const { conversation } = this;
    const protocol = conversation.random.chance(50) ? 2 : 3;
    const check = (reply: string) => {
      if (!reply.startsWith(protocol === 3 ? '%7\r\n' : '*14\r\n')) throw new Error('it is no greeting');
      conversation.replyProtocol = protocol;
    };
    conversation.ask({ words: ['HELLO', `${protocol}`], ids: [], places: [], check });
    conversation.protocol = protocol;
  }

  private askSelect(database: number): void {
    const { conversation } = this;
    const check = (reply: string) => expect(reply, '+OK\r\n');
    conversation.ask({ words: ['SELECT', `${database}`], ids: [], places: [], check });
    conversation.database = database;
  }

  private askPop(): void {
    if (!this.mayWait) return;
    const { random } = this.conversation;
    const lists = random.pick(this.keys.lists);
    this.conversation.ask(this.commands.pop(random.chance(50) ? lists : [random.pick(lists)], false));
  }

  /** Has somebody's wait ended: the proxy numbers its clients as the simulation does. */
  private askUnblock(): void {
    const { random, history, number } = this.conversation;
    const target = Math.max(1, number - 6 + random.below(12));
    const isError = random.chance(50);
    const unblock = history.onUnblock(target, isError);
    const done = () => {
      unblock.endStep = history.step;
    };
    const check = (reply: string) => {
      done();
      if (reply === ':1\r\n') history.claimUnblocked(target);
      else expect(reply, ':0\r\n');
    };
    const words = ['CLIENT', 'UNBLOCK', `${target}`, isError ? 'ERROR' : 'TIMEOUT'];
    this.conversation.ask({ words, ids: [], places: [], check, onExcused: done });
  }

  private get allKeys(): readonly string[] {
    return [...this.keys.own, ...this.keys.shared];
  }

  private pickKey(): string {
    const { random } = this.conversation;
    return random.pick(random.chance(70) ? this.keys.own : this.keys.shared);
  }

  /** Different keys, of several shards as it happens. */
  private pickKeys(): string[] {
    const keys = new Set<string>();
    for (let count = this.conversation.random.size(6); count > 0; count--) keys.add(this.pickKey());
    return [...keys];
  }
}
