/**
 * What one Redis of a simulation holds and does: databases with strings and lists; for each connection the protocol, the database,
 * MULTI, what it watches, and what it waits for. It tells the judge of each key that it writes, and complains itself of connections
 * that come to a client in the state that another has left them in.
 */
import { ANSWERS, bulk, HELLO_REPLY, repliesIn } from '../../help/plane.js';
import { ModelRedis } from '../model-redis.js';
import { type History, idIn, placeOf } from './history.js';
import type { Link, Wait } from './link.js';

export const DATABASES = 4;

class Database {
  readonly strings = new ModelRedis();
  readonly lists = new Map<string, string[]>();

  get size(): number {
    return this.strings.data.size + this.lists.size;
  }
}

export class SimRedis {
  private readonly index: number;
  private readonly history: History;
  /** All connections that it has. */
  private readonly links: () => readonly Link[];
  private readonly databases = Array.from({ length: DATABASES }, () => new Database());
  private waits = 0;
  /** An element has come for who waits. */
  private hasPushed = false;

  constructor(index: number, history: History, links: () => readonly Link[]) {
    this.index = index;
    this.history = history;
    this.links = links;
  }

  /** Carries out what came by `link`, and answers, now or when the wait ends. */
  execute(link: Link, words: string[]): void {
    const name = nameOf(words);
    if (link.block !== null && name !== 'EXEC' && name !== 'DISCARD') {
      if (name === 'MULTI' || name === 'WATCH') this.complain(link, `${name} inside of MULTI`);
      link.block.push(words);
      link.outbound += '+QUEUED\r\n';
      return;
    }
    link.outbound += this.carryOut(link, words, false);
    if (this.hasPushed) this.serve();
  }

  /** The time of who waits by `link` is over. */
  timeOut(link: Link): void {
    link.wait = null;
    link.outbound += link.nullArray;
  }

  /** The reply; '' while it waits. */
  private carryOut(link: Link, words: string[], isQueued: boolean): string {
    this.check(link, words);
    switch (nameOf(words)) {
      case 'HELLO':
        link.protocol = words[1] === '3' ? 3 : 2;
        return HELLO_REPLY[link.protocol].replace(':77\r\n', `:${link.id}\r\n`);
      case 'CONFIG':
        return repliesIn(ANSWERS[link.protocol])[words[2] === 'databases' ? 1 : 0] as string;
      case 'SELECT':
        link.database = Number(words[1]);
        return '+OK\r\n';
      case 'CLIENT':
        return this.unblock(Number(words[2]), words[3] === 'ERROR');
      case 'WATCH':
        for (const key of words.slice(1)) link.watched.add(placeOf(link.database, key));
        link.watcher = clientOf(words);
        return '+OK\r\n';
      case 'UNWATCH':
        this.unwatch(link);
        return '+OK\r\n';
      case 'MULTI':
        link.block = [];
        return '+OK\r\n';
      case 'DISCARD':
        link.block = null;
        this.unwatch(link);
        return '+OK\r\n';
      case 'EXEC':
        return this.carryOutBlock(link);
      case 'RPUSH':
        return this.push(link, words[1] as string, words[2] as string);
      case 'BLPOP':
        return this.pop(link, words, isQueued);
      case 'DBSIZE':
        return `:${this.databaseOf(link).size}\r\n`;
      case 'INFO':
        return bulk(`# Keyspace\r\n${this.databases.map(({ size }, n) => keyspace(n, size)).join('')}`);
      default:
        return this.carryOutStrings(link, words);
    }
  }

  private carryOutBlock(link: Link): string {
    const { block } = link;
    if (block === null) throw new Error(`node ${this.index} got EXEC without MULTI`);
    link.block = null;
    const clients = new Set(block.map(clientOf).filter((client) => client > 0));
    if (link.watched.size > 0) clients.add(link.watcher);
    if (clients.size > 1) this.complain(link, `a transaction of the clients ${[...clients].join(' and ')}`);
    const { isTouched } = link;
    this.unwatch(link);
    if (isTouched) return link.nullArray;
    return `*${block.length}\r\n${block.map((words) => this.carryOut(link, words, true)).join('')}`;
  }

  private unwatch(link: Link): void {
    link.watched.clear();
    link.isTouched = false;
  }

  private push(link: Link, key: string, element: string): string {
    const { lists } = this.databaseOf(link);
    const list = lists.get(key) ?? [];
    list.push(element);
    lists.set(key, list);
    this.hasPushed = true;
    this.tell(link, element, key, element, list.length);
    this.noteSize(link.database);
    return `:${list.length}\r\n`;
  }

  /** BLPOP list … key-of-its-id timeout. */
  private pop(link: Link, words: string[], isQueued: boolean): string {
    const keys = words.slice(1, -2);
    const id = idIn(words.at(-2) as string) as string;
    if (!isQueued && link.watched.size > 0) this.complain(link, 'a wait by a connection that watches');
    const popped = this.popFirst(link, id, keys);
    if (popped !== null || isQueued) return popped ?? link.nullArray;
    if (link.queue.length > 0 && link.isLive) this.complain(link, 'a wait by a connection that others share');
    this.history.tally.waits++;
    link.wait = { id, keys, hasTimeout: words.at(-1) !== '0', order: ++this.waits, step: this.history.step };
    return '';
  }

  /** Takes the first element of the first of `keys` that has one, for the pop of that id. */
  private popFirst(link: Link, id: string, keys: readonly string[]): string | null {
    const { lists } = this.databaseOf(link);
    const key = keys.find((key) => lists.has(key));
    if (key === undefined) return null;
    const list = lists.get(key) as string[];
    const element = list.shift() as string;
    if (list.length === 0) lists.delete(key);
    this.tell(link, `<${id}>`, key, element, 0);
    this.noteSize(link.database);
    return `*2\r\n${bulk(key)}${bulk(element)}`;
  }

  /** Hands out what was pushed to those who wait, the oldest first. */
  private serve(): void {
    this.hasPushed = false;
    const waiting = this.links().filter(({ wait }) => wait !== null);
    waiting.sort((one, other) => (one.wait as Wait).order - (other.wait as Wait).order);
    for (const link of waiting) {
      const { id, keys } = link.wait as Wait;
      const popped = this.popFirst(link, id, keys);
      if (popped === null) continue;
      link.wait = null;
      link.outbound += popped;
      this.history.tally.waitsServed++;
    }
  }

  /** CLIENT UNBLOCK. */
  private unblock(id: number, isError: boolean): string {
    const link = this.links().find((link) => link.id === id);
    if (link === undefined || link.wait === null) return ':0\r\n';
    this.history.onUnblocked(link.wait.id);
    if (!isError) this.timeOut(link);
    else {
      link.wait = null;
      link.outbound += '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n';
    }
    return ':1\r\n';
  }

  private carryOutStrings(link: Link, words: string[]): string {
    const { strings, size } = this.databaseOf(link);
    const name = nameOf(words);
    const args = words.slice(1);
    const existed = args.map((key) => strings.data.has(key));
    const reply = strings.execute(words, link.protocol);
    if (name === 'SET' || name === 'MSET') {
      for (let at = 0; at < args.length; at += 2) {
        this.tell(link, args[at + 1] as string, args[at] as string, args[at + 1] as string, 0);
      }
    } else if (name === 'APPEND') {
      const value = strings.data.get(args[0] as string) as string;
      this.tell(link, args[1] as string, args[0] as string, value, value.length);
    } else if (name === 'DEL' || name === 'UNLINK') {
      // Keys and the keys of their ids take turns.
      for (let at = 0; at < args.length; at += 2) {
        this.tell(link, args[at + 1] as string, args[at] as string, null, existed[at] === true ? 1 : 0);
      }
    }
    if (this.databaseOf(link).size !== size) this.noteSize(link.database);
    return reply;
  }

  /** Tells the judge that the write whose id stands in `text` has made `value` of `key`, and those who watch it. */
  private tell(link: Link, text: string, key: string, value: string | null, result: number): void {
    const id = idIn(text);
    if (id === null) throw new Error(`node ${this.index} got a write of ${key} without an id`);
    const place = placeOf(link.database, key);
    this.history.onExecuted(this.index, id, place, value, result, link.isLive);
    // What was not there was not deleted.
    if (value === null && result === 0) return;
    for (const other of this.links()) other.isTouched ||= other.watched.has(place);
  }

  /** Whether the command is where it belongs: on a connection as its session wants it, that no other has left in a state. */
  private check(link: Link, words: string[]): void {
    const client = clientOf(words);
    if (client === 0) return;
    this.history.onBegun(idIn(words.find((word) => idIn(word) !== null) as string) as string, link);
    if (link.watched.size > 0 && link.watcher !== client) {
      this.complain(link, `a command of client ${client}, where ${link.watcher} watches`);
    }
  }

  private complain(link: Link, what: string): never {
    throw new Error(`node ${this.index} got ${what}, by its connection ${link.id}`);
  }

  private databaseOf(link: Link): Database {
    return this.databases[link.database] as Database;
  }

  private noteSize(database: number): void {
    this.history.onSize(this.index, database, (this.databases[database] as Database).size);
  }
}

function nameOf(words: readonly string[]): string {
  return (words[0] as string).toUpperCase();
}

/** The client that the ids in a command are of; 0 where it has none. */
function clientOf(words: readonly string[]): number {
  for (const word of words) {
    const id = idIn(word);
    if (id !== null) return Number(id.split('.')[0]);
  }
  return 0;
}

function keyspace(database: number, size: number): string {
  return size === 0 ? '' : `db${database}:keys=${size},expires=0,avg_ttl=0\r\n`;
}
