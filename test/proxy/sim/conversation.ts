/**
 * One client's connection in a simulation: pipelines commands, sends them cut anywhere, reads slowly or fast, and holds every reply
 * against what the judge knows.
 */
import { type Client, command, type Plane, replyEnd } from '../../help/plane.js';
import type { Random } from '../../help/random.js';
import { type History, idIn } from './history.js';

/** What a client may be told that is no answer. */
export interface Excuses {
  /** Whether a command that was asked at `sinceMs` may have failed for what was wrong with that node. */
  mayFail(node: number, sinceMs: number): boolean;
  /** Whether keys may have come to lie elsewhere since. */
  mayMove(sinceMs: number): boolean;
  mayOverload: boolean;
  /** Whether there may be no memory for anything. */
  mayRunOut: boolean;
}

/** A command that carries the number `conversation.sequence`, and is asked next. */
export interface SimCommand {
  readonly words: readonly string[];
  /** Ids of the writes it consists of, and the places of the keys that these write. */
  readonly ids: readonly string[];
  readonly places: readonly string[];
  readonly check: (reply: string) => void;
  /** It was answered with an error of the proxy's that may be true. */
  readonly onExcused?: () => void;
  /** It may wait at the node. */
  readonly mayBlock?: boolean;
}

interface Asked extends SimCommand {
  readonly ms: number;
  readonly sequence: number;
}

const INLINE_WORD = /^[\w{}:#<>.-]{1,5000}$/;

export class Conversation {
  readonly number: number;
  readonly client: Client;
  readonly plane: Plane;
  readonly random: Random;
  readonly history: History;
  readonly excuses: Excuses;
  /** Replies that came and were held against the judge, and how many of them said that a node failed, or is overloaded. */
  answered = 0;
  failed = 0;
  refused = 0;
  lastError = '';
  /** Of the command that is asked next: its number, and what the session will be when it is carried out. */
  sequence = 0;
  database = 0;
  protocol: 2 | 3 = 2;
  /** Of the reply that comes next. */
  replyProtocol: 2 | 3 = 2;
  private readonly asked: Asked[] = [];
  private outgoing = '';
  private incoming = '';

  constructor(number: number, plane: Plane, random: Random, history: History, excuses: Excuses) {
    this.number = number;
    this.plane = plane;
    this.random = random;
    this.history = history;
    this.excuses = excuses;
    this.client = plane.client();
  }

  /** Commands that were asked and not answered. */
  get pending(): number {
    return this.asked.length;
  }

  /** Whether one of them may wait at a node. */
  get mayBlock(): boolean {
    return this.asked.some(({ mayBlock }) => mayBlock === true);
  }

  /** The oldest of them. */
  get oldest(): SimCommand | undefined {
    return this.asked[0];
  }

  /** Whether all was sent. */
  get isSilent(): boolean {
    return this.outgoing === '';
  }

  ask(command: SimCommand): void {
    const { words } = command;
    const isInline = this.random.chance(10) && words.every((word) => INLINE_WORD.test(word));
    this.askRaw(isInline ? `${words.join(' ')}\r\n` : encode(words), command);
  }

  /** Sends `bytes` for it. */
  askRaw(bytes: string, command: SimCommand): void {
    for (const word of command.words) {
      const id = idIn(word);
      if (id !== null) this.history.expect(id, this);
    }
    this.asked.push({ ...command, ms: this.plane.transport.now, sequence: this.sequence++ });
    this.outgoing += bytes;
  }

  /** Sends the rest, and that this was all. */
  end(): void {
    this.send(this.outgoing.length);
    this.client.connection.end();
  }

  send(count: number): void {
    if (this.outgoing === '' || count === 0 || this.client.connection.isFinished) return;
    const piece = this.outgoing.slice(0, count);
    this.outgoing = this.outgoing.slice(count);
    this.client.sendText(piece);
  }

  /** Takes up to `count` bytes, and judges the replies that are whole. */
  receive(count: number): void {
    if (this.client.isClosed || this.client.connection.output.unsentBytes === 0) return;
    this.incoming += this.client.connection.takeSome(count);
    let at = 0;
    for (let end = replyEnd(this.incoming, at); end >= 0; end = this.endOfReply(at)) {
      this.judge(this.incoming.slice(at, end));
      at = end;
      if (at === this.incoming.length) break;
    }
    this.incoming = this.incoming.slice(at);
  }

  private endOfReply(at: number): number {
    return at < this.incoming.length ? replyEnd(this.incoming, at) : -1;
  }

  private judge(reply: string): void {
    const asked = this.asked.shift();
    if (asked === undefined) throw new Error(`client ${this.number} got a reply to nothing: ${shown(reply)}`);
    this.answered++;
    try {
      if (!this.isExcused(asked, reply)) asked.check(reply);
      else asked.onExcused?.();
    } catch (error) {
      const words = shown(asked.words.join(' '));
      throw new Error(`client ${this.number}, command ${asked.sequence} ${words}, reply ${shown(reply)}: ${error}`);
    }
  }

  /** Whether the reply is one of our errors, and may be true. */
  isExcused(asked: Pick<Asked, 'words' | 'ids' | 'ms'>, reply: string): boolean {
    const code = /^-(NODEDOWN|UNKNOWN|OVERLOADED) (?:node node-(\d+)|no buffer memory)/.exec(reply);
    if (code === null) return false;
    const node = Number(code[2]);
    // A split write of which one part found a full queue, and another did not.
    const isOverload = code[1] === 'OVERLOADED' || (asked.ids.length > 1 && reply.includes('too much waits for it'));
    const { excuses } = this;
    if (!excuses.mayRunOut && !(isOverload ? excuses.mayOverload : excuses.mayFail(node, asked.ms))) {
      throw new Error(`nothing is wrong with node ${node}`);
    }
    if (isOverload) this.refused++;
    else {
      this.failed++;
      this.lastError = `${shown(asked.words.join(' '))} got ${shown(reply)}`;
    }
    if (code[1] !== 'UNKNOWN') this.history.disown(asked.ids);
    else if (asked.ids.length === 0) throw new Error('a read cannot be unknown');
    else this.history.admitUnknown(asked.ids);
    return true;
  }
}

function encode(words: readonly string[]): string {
  return command(...words);
}

export function shown(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
