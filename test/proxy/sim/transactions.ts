/**
 * WATCH, MULTI and EXEC as a simulation's client uses them. Where EXEC says that all was done, it was done in one piece, and what is
 * watched had right before it what the client had seen in it; where EXEC says no, nothing was done, and there was a reason.
 */
import { type Commands, elementsOf, expect } from './commands.js';
import type { Conversation, SimCommand } from './conversation.js';
import { idKey, placeOf } from './history.js';

interface Watched {
  readonly key: string;
  readonly place: string;
  readonly node: number;
  readonly step: number;
  readonly sequence: number;
  readonly ms: number;
  /** The client was told that it watches it. */
  isMade: boolean;
  /** What the client has seen in it since; undefined when nothing. */
  seen: string | null | undefined;
}

/** The commands between MULTI and EXEC. */
interface Block {
  readonly commands: readonly SimCommand[];
  /** When it was begun. */
  readonly ms: number;
  readonly watched: readonly Watched[];
  /** One of them was not queued. */
  isRefused: boolean;
}

const OF_ALL: ReadonlySet<string> = new Set(['DBSIZE', 'INFO']);
const OK = (reply: string) => expect(reply, '+OK\r\n');

export class SimTransactions {
  private readonly conversation: Conversation;
  private readonly commands: Commands;
  private readonly databases: number;
  /** Since the last EXEC, DISCARD or UNWATCH. */
  private watched: Watched[] = [];

  constructor(conversation: Conversation, commands: Commands, databases: number) {
    this.databases = databases;
    this.conversation = conversation;
    this.commands = commands;
  }

  /** Watches `key`, mostly looks at it, and may soon write because of what it saw. */
  watch(key: string, keys: readonly string[], lists: readonly string[]): void {
    const { conversation, commands } = this;
    const { random, plane, history } = conversation;
    const node = plane.nodeOf(key);
    if (this.watched.some((other) => other.node !== node)) return;
    const watched: Watched = {
      key,
      place: placeOf(conversation.database, key),
      node,
      step: history.step,
      sequence: conversation.sequence,
      ms: plane.transport.now,
      isMade: false,
      seen: undefined,
    };
    this.watched.push(watched);
    const mark = idKey(key, `<${conversation.number}.${conversation.sequence}.0>`);
    const isMade = (reply: string) => {
      OK(reply);
      watched.isMade = true;
    };
    conversation.ask({ words: ['WATCH', key, mark], ids: [], places: [], check: isMade });
    if (random.chance(80)) {
      conversation.ask(
        commands.get(key, (value) => {
          watched.seen = value;
        }),
      );
    }
    if (random.chance(15)) conversation.ask(commands.set(key));
    if (random.chance(70)) this.block(key, keys, lists);
  }

  unwatch(): void {
    this.watched = [];
    this.conversation.ask({ words: ['UNWATCH'], ids: [], places: [], check: OK });
  }

  /** A transaction, about `key` and those of `keys` and `lists` on its node; while keys are watched, about one of these. */
  block(key: string, keys: readonly string[], lists: readonly string[]): void {
    const { conversation } = this;
    const { random, plane } = conversation;
    const [first] = this.watched;
    const about = first?.key ?? key;
    const isHere = (other: string) => plane.nodeOf(other) === plane.nodeOf(about);
    conversation.ask({ words: ['MULTI'], ids: [], places: [], check: OK });
    const commands: SimCommand[] = [];
    const block: Block = { commands, ms: plane.transport.now, watched: this.watched, isRefused: false };
    this.watched = [];
    const here = { keys: [about, ...keys.filter(isHere)], lists: lists.filter(isHere) };
    for (let count = random.size(5); count > 0; count--) {
      const isFirst = commands.length === 0;
      commands.push(this.queue(block, isFirst ? this.write(about) : this.any(here.keys, here.lists)));
    }
    if (random.chance(5)) this.queueNonsense(block);
    const ids = commands.flatMap((command) => command.ids);
    const places = commands.flatMap((command) => command.places);
    const discarded = (reply: string) => {
      OK(reply);
      conversation.history.disown(ids);
    };
    if (random.chance(10)) conversation.ask({ words: ['DISCARD'], ids: [], places: [], check: discarded });
    else conversation.ask({ words: ['EXEC'], ids, places, check: (reply) => this.checkExec(block, ids, reply) });
  }

  private write(key: string): SimCommand {
    return this.conversation.random.chance(80) ? this.commands.set(key) : this.commands.del([key]);
  }

  private any(keys: readonly string[], lists: readonly string[]): SimCommand {
    const { commands } = this;
    const { random } = this.conversation;
    const kind = random.below(100);
    if (kind < 25) return commands.get(random.pick(keys));
    if (kind < 35) return commands.mget([...new Set([random.pick(keys), random.pick(keys)])]);
    if (kind < 45) return commands.exists([...new Set([random.pick(keys), random.pick(keys)])]);
    if (kind < 49) return commands.echo();
    if (kind < 55) return commands.size(this.databases);
    if (kind < 70 || lists.length === 0) return this.write(random.pick(keys));
    return kind < 80 ? commands.push(random.pick(lists)) : commands.pop([random.pick(lists)], true);
  }

  /** Asks `command` within MULTI: its reply comes with EXEC's. */
  private queue(block: Block, command: SimCommand): SimCommand {
    const onExcused = () => {
      block.isRefused = true;
    };
    const isQueued = (reply: string) => expect(reply, '+QUEUED\r\n');
    this.conversation.ask({ words: command.words, ids: [], places: [], check: isQueued, onExcused });
    return command;
  }

  private queueNonsense(block: Block): void {
    const check = (reply: string) => {
      expect(reply, "-ERR wrong number of arguments for 'get' command\r\n");
      block.isRefused = true;
    };
    this.conversation.ask({ words: ['GET'], ids: [], places: [], check });
  }

  private checkExec({ commands, ms, watched, isRefused }: Block, ids: readonly string[], reply: string): void {
    const { history } = this.conversation;
    if (isRefused) {
      expect(reply, '-EXECABORT Transaction discarded because of previous errors.\r\n');
      history.disown(ids);
      return;
    }
    if (reply === this.commands.nullArray) {
      history.tally.transactionsRefused++;
      history.disown(ids);
      if (!watched.some((one) => this.mayHaveChanged(one))) throw new Error('nothing that it watches has changed');
      return;
    }
    const replies = elementsOf(reply, commands.length);
    history.tally.transactions++;
    for (const [place, command] of commands.entries()) {
      const element = replies[place] as string;
      // What is for all shards may have failed at another than the transaction's own, and that alone.
      const isOfAll = OF_ALL.has(command.words[0] as string);
      if (!isOfAll || !this.conversation.isExcused({ ...command, ms }, element)) command.check(element);
    }
    history.checkBlock(ids.filter((id) => history.changeOf(id) !== undefined));
    for (const { isMade, seen, place } of watched) {
      const id = ids.find((id) => history.changeOf(id)?.place === place);
      if (!isMade || seen === undefined || id === undefined) continue;
      if (history.valueBefore(id) !== seen) throw new Error(`${place} has changed since it was watched`);
    }
  }

  private mayHaveChanged({ place, node, step, sequence, ms }: Watched): boolean {
    const { history, excuses, number } = this.conversation;
    if (history.hasChangedSince(place, step, number, sequence)) return true;
    return excuses.mayFail(node, ms) || excuses.mayMove(ms) || excuses.mayRunOut;
  }
}
