/** The commands of a simulation's clients on keys, each with how its reply is judged: asked alone, or within MULTI. */
import { bulk, replyEnd } from '../../help/plane.js';
import type { Conversation, SimCommand } from './conversation.js';
import { shown } from './conversation.js';
import { idKey, placeOf } from './history.js';

/** Bytes that values are longer than their ids, in thousandths of what they may be. */
const PADDINGS = [0, 0, 0, 2, 15, 70, 230, 1_000];

export class Commands {
  private readonly conversation: Conversation;
  private readonly valueBytesMax: number;
  /** By place: the latest of its own writes that the client knows to have been done. */
  private readonly settled = new Map<string, string>();

  constructor(conversation: Conversation, valueBytesMax: number) {
    this.conversation = conversation;
    this.valueBytesMax = valueBytesMax;
  }

  /** `onValue` is told what it saw. */
  get(key: string, onValue?: (value: string | null) => void): SimCommand {
    const see = this.seer();
    return this.read(['GET', key], (reply) => {
      const value = see(key, reply);
      onValue?.(value);
    });
  }

  mget(keys: readonly string[]): SimCommand {
    const see = this.seer();
    return this.read(['MGET', ...keys], (reply) => {
      const replies = elementsOf(reply, keys.length);
      for (const [place, key] of keys.entries()) see(key, replies[place] as string);
    });
  }

  exists(keys: readonly string[]): SimCommand {
    const visible = this.viewer();
    return this.read([this.conversation.random.pick(['EXISTS', 'TOUCH']), ...keys], (reply) => {
      let [least, most] = [0, 0];
      for (const key of keys) {
        const values = [...visible(key)];
        if (values.every((value) => value !== null)) least++;
        if (values.some((value) => value !== null)) most++;
      }
      expectRange(reply, least, most);
    });
  }

  set(key: string): SimCommand {
    const id = this.id(0);
    return this.write(['SET', key, this.value(id)], [id], [key], (reply) => expect(reply, '+OK\r\n'));
  }

  mset(keys: readonly string[]): SimCommand {
    const ids = keys.map((_, part) => this.id(part));
    const words = keys.flatMap((key, part) => [key, this.value(ids[part] as string)]);
    return this.write(['MSET', ...words], ids, keys, (reply) => expect(reply, '+OK\r\n'));
  }

  append(key: string): SimCommand {
    const id = this.id(0);
    const words = ['APPEND', key, this.value(id)];
    return this.write(words, [id], [key], (reply, result) => expect(reply, `:${result}\r\n`));
  }

  del(keys: readonly string[]): SimCommand {
    const ids = keys.map((_, part) => this.id(part));
    const words = keys.flatMap((key, part) => [key, idKey(key, `<${ids[part]}>`)]);
    const name = this.conversation.random.pick(['DEL', 'UNLINK']);
    return this.write([name, ...words], ids, keys, (reply, result) => expect(reply, `:${result}\r\n`));
  }

  push(list: string): SimCommand {
    const id = this.id(0);
    return this.write(['RPUSH', list, `<${id}>`], [id], [list], (reply, result) => expect(reply, `:${result}\r\n`));
  }

  /**
   * BLPOP. Within MULTI it does not wait; else it does until its time is over, or for ever, or until somebody unblocks it. Once it was
   * answered that it took nothing, it must not take anything.
   */
  pop(lists: readonly string[], isQueued: boolean): SimCommand {
    const { history, number, random } = this.conversation;
    const { step } = history;
    const id = this.id(0);
    const timeout = random.chance(30) ? '0' : `${random.size(20)}`;
    const words = ['BLPOP', ...lists, idKey(lists[0] as string, `<${id}>`), timeout];
    const check = (reply: string) => {
      const change = history.changeOf(id);
      if (reply.startsWith('*2\r\n')) {
        if (change === undefined) throw new Error('nothing was popped for it');
        history.acknowledge([id]);
        const key = change.place.slice(change.place.indexOf('/') + 1);
        expect(reply, `*2\r\n${bulk(key)}${bulk(change.value as string)}`);
        return;
      }
      history.disown([id]);
      const isError = reply === '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n';
      if (!isError) expect(reply, this.nullArray);
      else history.tally.waitsUnblocked++;
      const mayEnd = !isError && (isQueued || timeout !== '0');
      if (!mayEnd && !history.mayBeUnblocked(number, isError, step)) throw new Error('nobody ended its wait');
    };
    return { words, ids: [id], places: [], check, mayBlock: !isQueued };
  }

  echo(): SimCommand {
    const { number, sequence, random } = this.conversation;
    const text = `echo of ${number}.${sequence}`;
    if (random.chance(50)) return this.read(['ECHO', text], (reply) => expect(reply, bulk(text)));
    return this.read(['PING'], (reply) => expect(reply, '+PONG\r\n'));
  }

  /** DBSIZE of its database, or INFO of all. */
  size(databases: number): SimCommand {
    const { random, history, database } = this.conversation;
    const { step } = history;
    if (random.chance(50)) {
      return this.read(['DBSIZE'], (reply) => expectRange(reply, ...history.sizeRange(database, step)));
    }
    return this.read(['INFO', 'keyspace'], (reply) => {
      if (!reply.includes('# Keyspace\r\n')) throw new Error('it is no INFO');
      // Of the nodes that did not answer it says the names.
      const isWhole = !/\r\nringleader_nodes_missing:[^\r]/.test(reply);
      for (let database = 0; database < databases; database++) {
        const [least, most] = history.sizeRange(database, step);
        const size = new RegExp(`\\r\\ndb${database}:keys=(\\d+)`).exec(reply)?.[1] ?? 0;
        expectRange(`:${size}\r\n`, isWhole ? least : 0, most);
      }
    });
  }

  /** What says no to a transaction, of the replies. */
  get nullArray(): string {
    return this.conversation.replyProtocol === 3 ? '_\r\n' : '*-1\r\n';
  }

  private write(
    words: readonly string[],
    ids: readonly string[],
    keys: readonly string[],
    check: (reply: string, result: number) => void,
  ): SimCommand {
    const { history, database } = this.conversation;
    const places = keys.map((key) => placeOf(database, key));
    return {
      words,
      ids,
      places,
      check: (reply) => {
        check(reply, history.acknowledge(ids));
        for (const place of places) {
          const own = ids.filter((_, part) => places[part] === place);
          this.settled.set(place, history.lastOf(own));
        }
      },
    };
  }

  private read(words: readonly string[], check: (reply: string) => void): SimCommand {
    return { words, ids: [], places: [], check };
  }

  /** What the command that is asked next may see of a key. */
  private viewer(): (key: string) => Set<string | null> {
    const { number, sequence, database, history } = this.conversation;
    const { step } = history;
    return (key) => {
      const place = placeOf(database, key);
      return history.visible(place, number, sequence, step, this.settled.get(place) ?? null);
    };
  }

  /** Judges the value of a key, as the command that is asked next sees it, and returns it. */
  private seer(): (key: string, reply: string) => string | null {
    const { conversation } = this;
    const { database } = conversation;
    const visible = this.viewer();
    return (key, reply) => {
      const isNull = reply === (conversation.replyProtocol === 3 ? '_\r\n' : '$-1\r\n');
      const value = isNull ? null : reply.slice(reply.indexOf('\r\n') + 2, -2);
      const values = visible(key);
      if (!values.has(value) || (value !== null && reply !== bulk(value))) {
        const all = [...values].map((one) => shown(one ?? 'null')).join(' or ');
        throw new Error(`${placeOf(database, key)} may be seen as ${all}`);
      }
      return value;
    };
  }

  private id(part: number): string {
    return `${this.conversation.number}.${this.conversation.sequence}.${part}`;
  }

  private value(id: string): string {
    return `<${id}>${'.'.repeat((this.conversation.random.pick(PADDINGS) * this.valueBytesMax) / 1_000)}`;
  }
}

/** The replies in an array of `count`. */
export function elementsOf(reply: string, count: number): string[] {
  const header = `*${count}\r\n`;
  if (!reply.startsWith(header)) throw new Error(`it should begin with ${shown(header)}`);
  const elements: string[] = [];
  for (let at = header.length; at < reply.length; ) {
    const end = replyEnd(reply, at);
    elements.push(reply.slice(at, end));
    at = end;
  }
  return elements;
}

export function expect(reply: string, expected: string): void {
  if (reply !== expected) throw new Error(`it should be ${shown(expected)}`);
}

function expectRange(reply: string, least: number, most: number): void {
  const count = Number(/^:(\d+)\r\n$/.exec(reply)?.[1]);
  if (!(count >= least && count <= most)) throw new Error(`it should be from ${least} to ${most}`);
}
