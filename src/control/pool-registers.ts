/**
 * Registers of a coordination store on the nodes of one pool (coord/registers.ts): each is a hash under a replicated key of the proxy's own,
 *
 *   ~rl:coord:CLUSTER/FOLDER     /nodes -> the names of the nodes that have the register; and the fields that its owner writes
 *
 * on the same nodes as the register of epochs. What is read first, is decided here and written by all (REPLICATION.md, W4).
 *
 * The connections are its own, and not those of a Caretaker: a store is there before the first topology, and outlasts each of them.
 */
import type { Logger } from 'pino';
import { pause } from '../base/pause.js';
import type { Watch } from '../coord/driver.js';
import type { FieldChanges, Found, Registers } from '../coord/registers.js';
import { StoreError } from '../coord/store-error.js';
import type { NodeSnapshot } from '../messages.js';
import { type Command, type Commands, NO_COMMANDS, type Replies } from '../replica/commands.js';
import { REGISTER_PREFIX } from '../replica/meta.js';
import type { Operation } from '../replica/operation.js';
import { quorumOf } from '../replica/repair.js';
import { bulkOf, elementsOf, isNull } from '../replica/reply-shape.js';
import type { Outcome } from '../replica/round.js';
import { isError } from '../resp/reply.js';
import { HintGate } from './hint-gate.js';
import { LinkProposer } from './link-proposer.js';
import type { NameLookup } from './name-lookup.js';
import { NodeLink } from './node-link.js';
import { epochNodes } from './pool-rounds.js';

/** No entry has a slash in its name. */
const PLACE_FIELD = '/nodes';

export interface PoolRegistersOptions {
  /** All of the pool. */
  nodes: readonly NodeSnapshot[];
  /** ASCII. What others have under another name in the same pool is not seen. */
  cluster: string;
  names: NameLookup;
  log: Logger;
}

type KeyOperation = Operation<Commands, Replies>;

export class PoolRegisters implements Registers {
  private readonly options: PoolRegistersOptions;
  private readonly links: readonly NodeLink[];
  private readonly proposer: LinkProposer;
  /** Lasts until enough nodes can be asked, or all were tried. */
  private readonly opening = new AbortController();
  /** By the key of the folder. */
  private readonly watchers = new Set<{ key: string; gate: HintGate<NodeLink> }>();
  /** The names of the nodes that have the registers, sorted, with spaces between them, which no name has. */
  private readonly place: string;

  constructor(options: PoolRegistersOptions) {
    const { nodes, log } = options;
    this.options = options;
    const own = epochNodes(nodes).map((index) => nodes.find((node) => node.index === index) as NodeSnapshot);
    const [{ pool, limits }] = own as [NodeSnapshot];
    this.place = own.map(({ name }) => name).join(' ');
    this.links = own.map((node) => this.linkTo(node));
    this.proposer = new LinkProposer({
      links: this.links,
      limits,
      onDifference: (key, links) => {
        const names = links.map(({ node }) => node.name).join(', ');
        const versions = links.map(({ view }) => view?.conditions.version ?? '').join(', ');
        log.error({ pool, key: `"${key}"`, nodes: names, versions }, 'copies-differ');
      },
    });
    for (const link of this.links) link.start();
  }

  async read(folder: string, fields: readonly string[], timeoutMs: number): Promise<Found> {
    const key = this.keyOf(folder);
    const command = words('HMGET', key, ...fields, PLACE_FIELD);
    return this.placed(this.told(await this.run(key, reading(command), timeoutMs), 'unavailable'));
  }

  async readAll(folder: string, timeoutMs: number): Promise<ReadonlyMap<string, string>> {
    const key = this.keyOf(folder);
    const outcome = await this.run(key, reading(words('HGETALL', key)), timeoutMs);
    const found = this.told(outcome, 'unavailable');
    const all = new Map<string, string>();
    for (let at = 0; at < found.length; at += 2) all.set(found[at] as string, found[at + 1] as string);
    this.checkPlace(all.get(PLACE_FIELD) ?? null);
    all.delete(PLACE_FIELD);
    return all;
  }

  async change(
    folder: string,
    fields: readonly string[],
    decide: (found: Found) => FieldChanges,
    timeoutMs: number,
  ): Promise<Found> {
    const key = this.keyOf(folder);
    const command = words('HMGET', key, ...fields, PLACE_FIELD);
    const { place } = this;
    const operation = changing(command, (found) => {
      const there = found.at(-1) ?? null;
      if (there !== null && there !== place) return [];
      const changes = decide(found.slice(0, -1));
      if (changes.size === 0) return [];
      const set = [...changes].flatMap(([field, text]) => (text === null ? [] : [field, text]));
      const removed = [...changes].flatMap(([field, text]) => (text === null ? [field] : []));
      const written = there === null ? [...set, PLACE_FIELD, place] : set;
      return [
        ...(written.length === 0 ? [] : [words('HSET', key, ...written)]),
        ...(removed.length === 0 ? [] : [words('HDEL', key, ...removed)]),
      ];
    });
    return this.placed(this.told(await this.run(key, operation, timeoutMs), 'unknown'));
  }

  watch(folder: string, onChange: () => void): Watch {
    const watcher = { key: this.keyOf(folder), gate: new HintGate<NodeLink>(onChange) };
    this.watchers.add(watcher);
    return {
      close: () => {
        this.watchers.delete(watcher);
        watcher.gate.close();
      },
    };
  }

  async close(): Promise<void> {
    for (const { gate } of this.watchers) gate.close();
    this.watchers.clear();
    this.opening.abort();
    this.proposer.close();
    for (const link of this.links) link.stop();
  }

  private keyOf(folder: string): string {
    return `${REGISTER_PREFIX}${this.options.cluster}/${folder}`;
  }

  private linkTo(node: NodeSnapshot): NodeLink {
    const { cluster, names } = this.options;
    const onHint = (keys: readonly string[]) => {
      const telling = this.links.filter(({ record }) => record !== null);
      for (const { key, gate } of this.watchers) if (keys.includes(key)) gate.onHint(link, telling);
    };
    const followed = { prefix: `${REGISTER_PREFIX}${cluster}/`, onChange: onHint };
    // While nobody heard the node, anything may have changed.
    const onChange = () => {
      const counting = this.links.filter(({ record }) => record !== null).length;
      const isOpen = counting >= quorumOf(this.links.length) || this.links.every(({ isTried }) => isTried);
      if (isOpen) this.opening.abort();
      for (const { gate } of this.watchers) gate.open();
    };
    const link = new NodeLink(node, [], names, onChange, followed);
    return link;
  }

  /** At the start nobody is missed who has not been tried yet. */
  private async run(key: string, operation: KeyOperation, timeoutMs: number): Promise<Outcome<Replies> | null> {
    if (this.opening.signal.aborted) return this.proposer.run(key, operation, timeoutMs);
    const endsMs = performance.now() + timeoutMs;
    await pause(timeoutMs, this.opening.signal);
    return this.proposer.run(key, operation, Math.max(1, endsMs - performance.now()));
  }

  /** Of an operation whose reply is one array, or map, of texts; of what was not heard of in time, an error with that fault. */
  private told(outcome: Outcome<Replies> | null, fault: 'unknown' | 'unavailable'): Found {
    if (outcome === null) throw new StoreError(fault, 'too few of its nodes answered in time');
    switch (outcome.kind) {
      case 'done': {
        const [reply] = outcome.reply as [Uint8Array];
        if (isError(reply, 0)) throw couldNot(reply);
        return textsOf(reply);
      }
      case 'unknown':
        throw new StoreError(fault, outcome.why);
      case 'unable':
        throw couldNot(outcome.error);
      case 'no-quorum':
        throw new StoreError('unavailable', `too few of its nodes can be asked: ${this.troubles()}`);
      case 'overtaken':
        throw new StoreError('unavailable', 'others changed it again and again');
      case 'crowded':
      case 'overdue':
      case 'cursor-lost':
        throw new StoreError('unavailable', 'too many wait for it');
    }
  }

  private troubles(): string {
    const troubles = this.links.flatMap(({ node, record, standing, trouble }) => {
      if (record !== null) return [];
      const reason = standing?.kind === 'stranger' ? standing.reason : 'it is being asked whether it is a member';
      return [`${node.name}: ${trouble ?? reason}`];
    });
    if (troubles.length > 0) return troubles.join('; ');
    const clusters = new Set(this.links.map(({ standing }) => (standing?.kind === 'member' ? standing.clusterId : '')));
    return clusters.size > 1 ? 'they are of different clusters' : 'they did not answer in time';
  }

  private placed(found: Found): Found {
    this.checkPlace(found.at(-1) ?? null);
    return found.slice(0, -1);
  }

  /** With another place than others have, two majorities need not meet. */
  private checkPlace(place: string | null): void {
    if (place === null || place === this.place) return;
    throw new StoreError(
      'refused',
      `the coordination store lies on the nodes ${place} of its pool, and by this configuration it would lie on ${this.place}`,
    );
  }
}

/** Where copies do not agree it is read as what is changed is. */
function reading(command: Command): KeyOperation {
  const { plan } = changing(command, () => []);
  return { reads: commands(command), readReply: (replies) => replies, plan };
}

/** `command` is carried out on the base; its reply is the operation's, and makes of it what follows. */
function changing(command: Command, decide: (found: Found) => readonly Command[]): KeyOperation {
  return {
    reads: null,
    readReply: (replies) => replies,
    repliesAgree: true,
    plan: (_, found) => {
      if (found === null) return { kind: 'read', commands: commands(command) };
      const [reply] = found as [Uint8Array];
      const list = isError(reply, 0) ? [] : decide(textsOf(reply));
      // A fleet goes on though nodes have no memory left: what a folder may have is bounded.
      const write: Commands = list.length === 0 ? NO_COMMANDS : { ...commands(...list), isSmall: true };
      return { kind: 'all', commands: write, setsExpiry: 0, reply: () => found };
    },
  };
}

function commands(...list: Command[]): Commands {
  return { list, protocol: 3 };
}

function words(...texts: string[]): Command {
  return texts.map((text) => Buffer.from(text));
}

/** Of an error reply. */
function couldNot(error: Uint8Array): StoreError {
  const text = Buffer.from(error).toString().slice(1).trim();
  if (text.startsWith('WRONGTYPE')) return new StoreError('refused', 'a register was not written by this program');
  return new StoreError(text.startsWith('NOPERM') ? 'refused' : 'unavailable', `its nodes could not: ${text}`);
}

/** Of an array or a map. */
function textsOf(reply: Uint8Array): Found {
  return elementsOf(reply).map((frame) => (isNull(frame) ? null : Buffer.from(bulkOf(frame)).toString()));
}
