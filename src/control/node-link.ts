/**
 * The control plane's way to one node of replicated keys: a connection that hears when the node's record changes, is made anew
 * when it is lost, and knows whether its node counts (REPLICATION.md, M1).
 *
 *   closed --connect, HELLO 3, CLIENT TRACKING--> looking --facts--> member | stranger --push--> looking
 *      ^-- lost, or spent (M1 holds, but not for what was heard here); tried again after a wait --+
 */
import { NodeClient } from '../backend/client.js';
import type { Endpoint } from '../base/endpoint.js';
import type { NodeSnapshot } from '../messages.js';
import { DURABLE, durabilityFault, type NodeView } from '../replica/admission.js';
import { Membership, type Standing } from '../replica/member.js';
import type { NodeFacts } from '../replica/member-step.js';
import { NODE_KEY } from '../replica/meta.js';
import { askConditions } from '../replica/node-conditions.js';
import { encodeMemberStep } from '../replica/node-member-step.js';
import type { NodeConditions } from '../replica/node-requirements.js';
import { COUNT_KEYS } from '../replica/repairer.js';
import { elementsOf, textOf } from '../replica/reply-shape.js';
import { encodeLoads, KEY_SCRIPTS, MEMBER_SCRIPTS } from '../replica/scripts.js';
import { TYPE } from '../resp/frame.js';
import { encodeCommand, isError, parseInteger } from '../resp/reply.js';
import type { NameLookup } from './name-lookup.js';

/** What a node is asked, and what its replies mean. */
export interface Asked<A> {
  frames: Uint8Array;
  replyCount: number;
  decode(replies: readonly Uint8Array[]): A;
}

/** Keys, besides the node's record, of which a link hears when somebody has changed them. */
export interface Followed {
  prefix: string;
  onChange: (keys: readonly string[]) => void;
}

/** What a look found. */
export interface LinkView {
  facts: NodeFacts;
  /** Of CONFIG: what DURABLE names. */
  settings: ReadonlyMap<string, string>;
  /** The epoch of a repair that is going on; '' for none. */
  repairer: string;
  /** See NodeView. */
  keysFound: number;
  /** Asked for less often than the rest. */
  conditions: NodeConditions;
}

const LOOK = encodeMemberStep({ kind: 'look' }, new Uint8Array());
const SCRIPTS = [...KEY_SCRIPTS, ...MEMBER_SCRIPTS];
const LOADS = encodeLoads(SCRIPTS);
/** A node's settings and the rights of its user are looked at anew after so many milliseconds. */
const CONDITIONS_MS = 60_000;
const SET_UP_REPLIES = 1 + SCRIPTS.length;
const ASK_MORE: readonly (readonly string[])[] = [
  ['CONFIG', 'GET', ...DURABLE.map(([name]) => name)],
  ['EVAL', COUNT_KEYS, '0'],
];
const MORE: Asked<Pick<LinkView, 'settings' | 'repairer' | 'keysFound'>> = {
  frames: Buffer.concat(ASK_MORE.map(encodeCommand)),
  replyCount: ASK_MORE.length,
  decode: readMore,
};

export class NodeLink {
  readonly node: NodeSnapshot;
  /** Counts connections: what was begun on one is not gone on with on the next. */
  connection = 0;
  /** What was seen last on this connection; null: it is not there, or says nothing. */
  view: LinkView | null = null;
  /** Whether it was tried to reach it: before, nothing is known. */
  isTried = false;
  /** Why it cannot be asked; null: it can. */
  trouble: string | null = 'it is being connected to';
  private readonly names: NameLookup;
  private readonly askConditions: Asked<NodeConditions>;
  private conditions: NodeConditions | null = null;
  private conditionsMs = 0;
  private readonly onChange: () => void;
  private readonly followed: Followed | null;
  private client: NodeClient | null = null;
  private membership: Membership;
  private looking: Promise<void> | null = null;
  private wait: NodeJS.Timeout | null = null;
  private failures = 0;
  private isStopped = false;

  /** `prefixes`: of the keyspaces of its pool. `onChange`: what is known of the node may have changed. */
  constructor(
    node: NodeSnapshot,
    prefixes: readonly string[],
    names: NameLookup,
    onChange: () => void,
    followed: Followed | null = null,
  ) {
    this.node = node;
    this.names = names;
    this.askConditions = askConditions(node.username ?? 'default', prefixes);
    this.onChange = onChange;
    this.followed = followed;
    this.membership = new Membership(node.name);
  }

  start(): void {
    void this.connect();
  }

  /** What is under way comes to nothing. */
  stop(): void {
    this.isStopped = true;
    if (this.wait !== null) clearTimeout(this.wait);
    this.client?.destroy(new Error('nobody needs it any more'));
  }

  get standing(): Standing | null {
    return this.membership.now;
  }

  /** What its admission goes by. */
  get nodeView(): NodeView {
    const { node, view } = this;
    const { name } = node;
    if (view === null) return { name, facts: null, durabilityFault: null, keysFound: 0 };
    const { facts, settings, keysFound } = view;
    return { name, facts, durabilityFault: durabilityFault(settings), keysFound };
  }

  /** The record that steps carry; null: nothing that the node says counts. */
  get record(): string | null {
    return this.client === null ? null : this.membership.record;
  }

  /** Asks whatever node is there. Null: no answer came, and it may have been carried out. */
  async ask<A>(asked: Asked<A>): Promise<A | null> {
    const { client } = this;
    if (client === null) return null;
    let answer: A;
    try {
      answer = asked.decode(await client.ask(asked.frames, asked.replyCount));
    } catch (error) {
      // A lost connection has told its owner; an answer that means nothing ends it.
      client.destroy(error instanceof Error ? error : new Error(String(error)));
      return null;
    }
    // Somebody has emptied the cache of scripts: they are loaded again with the next connection.
    if (hasLostScripts(answer)) client.destroy(new Error('its scripts are gone'));
    return answer;
  }

  /** Asks the member of that record. Null: no answer came that counts. */
  async askMember<A>(record: string, asked: Asked<A>): Promise<A | null> {
    if (this.record !== record) return null;
    const answer = await this.ask(asked);
    return this.record === record ? answer : null;
  }

  /** Resolves when what it knows is not older than this call. */
  async look(): Promise<void> {
    if (this.looking !== null) await this.looking;
    this.looking ??= this.lookAround().finally(() => {
      this.looking = null;
    });
    await this.looking;
  }

  private async connect(): Promise<void> {
    const { node } = this;
    const { username, password, limits } = node;
    try {
      const endpoint = await this.findEndpoint(node.address);
      const client = await NodeClient.connect({
        endpoint,
        username,
        password,
        connectTimeoutMs: limits.connectTimeoutMs,
        requestTimeoutMs: limits.requestTimeoutMs,
        onPush: (frame) => this.onPush(client, frame),
        onClose: (error) => this.onLost(client, error),
      });
      if (this.isStopped) {
        client.destroy(new Error('nobody needs it any more'));
        return;
      }
      this.membership = new Membership(node.name);
      this.conditions = null;
      this.client = client;
      this.connection++;
      const replies = await client.ask(this.setUp(), SET_UP_REPLIES);
      const refusal = replies.find((reply) => isError(reply, 0));
      if (refusal !== undefined) client.destroy(new Error(`its set-up was refused: ${errorOf(refusal)}`));
      else await this.look();
    } catch (error) {
      if (this.client === null) this.retry(error instanceof Error ? error.message : String(error));
    }
  }

  private setUp(): Uint8Array {
    const followed = this.followed === null ? [] : ['PREFIX', this.followed.prefix];
    return Buffer.concat([
      encodeCommand(['CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', NODE_KEY, ...followed]),
      LOADS,
    ]);
  }

  private onPush(client: NodeClient, frame: Uint8Array): void {
    if (client !== this.client) return;
    const { followed } = this;
    const keys = changedKeys(frame);
    if (followed !== null && keys.length > 0 && keys.every((key) => key.startsWith(followed.prefix))) {
      followed.onChange(keys);
      return;
    }
    this.membership.onPush();
    void this.look();
  }

  private onLost(client: NodeClient, error: Error): void {
    if (client !== this.client) return;
    this.client = null;
    this.view = null;
    this.retry(error.message);
  }

  private retry(reason: string): void {
    this.isTried = true;
    this.trouble = reason;
    if (this.isStopped) return;
    const { reconnectMinMs, reconnectMaxMs } = this.node.limits;
    const whole = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(this.failures++, 20));
    this.wait = setTimeout(() => void this.connect(), whole * (1 - Math.random() / 2));
    this.onChange();
  }

  private async lookAround(): Promise<void> {
    const { client, membership } = this;
    if (client === null) return;
    for (;;) {
      const look = membership.beginLook();
      const [facts, more, conditions] = await Promise.all([this.ask(LOOK), this.ask(MORE), this.conditionsOfNow()]);
      if (client !== this.client || facts === null || more === null || conditions === null) return;
      if (facts.kind !== 'facts') {
        this.view = null;
        this.trouble = 'error' in facts ? errorOf(facts.error) : facts.kind;
        break;
      }
      if (!membership.onFacts(look, facts)) continue;
      this.view = { facts, ...more, conditions };
      this.trouble = null;
      this.failures = 0;
      if (membership.isSpent) client.destroy(new Error('what it said before does not count any more'));
      break;
    }
    this.isTried = true;
    this.onChange();
  }

  private async conditionsOfNow(): Promise<NodeConditions | null> {
    const nowMs = performance.now();
    if (this.conditions === null || nowMs - this.conditionsMs > CONDITIONS_MS) {
      this.conditionsMs = nowMs;
      this.conditions = await this.ask(this.askConditions);
    }
    return this.conditions;
  }

  private async findEndpoint(address: Endpoint): Promise<Endpoint> {
    if (address.kind === 'unix') return address;
    return { ...address, host: await this.names.lookUp(address.host) };
  }
}

function readMore(replies: readonly Uint8Array[]): Pick<LinkView, 'settings' | 'repairer' | 'keysFound'> {
  const refusal = replies.find((reply) => isError(reply, 0));
  if (refusal !== undefined) throw new Error(`it does not say what it has: ${errorOf(refusal)}`);
  const [settings, found] = replies as [Uint8Array, Uint8Array];
  const [repairer, keyspace, own] = elementsOf(found) as [Uint8Array, Uint8Array, Uint8Array];
  return {
    settings: readMap(settings),
    repairer: repairer[0] === TYPE.bulk ? textOf(repairer) : '',
    keysFound: countKeys(textOf(keyspace)) - parseInteger(own, 0, own.length),
  };
}

/** In all databases, by INFO's `db0:keys=3,expires=0,…` */
function countKeys(keyspace: string): number {
  let count = 0;
  for (const [, keys] of keyspace.matchAll(/^db\d+:keys=(\d+)/gm)) count += Number(keys);
  return count;
}

/** Which keys a push says were changed; none: it says something else, as that all are gone. */
function changedKeys(push: Uint8Array): string[] {
  const [kind, keys] = elementsOf(push);
  if (kind === undefined || keys === undefined || textOf(kind) !== 'invalidate' || keys[0] !== TYPE.array) return [];
  return elementsOf(keys).map(textOf);
}

function errorOf(frame: Uint8Array): string {
  return Buffer.from(frame).toString('latin1').slice(1).trim();
}

function hasLostScripts(answer: unknown): boolean {
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return false;
  const { error } = answer;
  return (
    error instanceof Uint8Array && Buffer.from(error.buffer, error.byteOffset, 10).toString('latin1') === '-NOSCRIPT '
  );
}

/** A map of texts; what is none is empty. */
function readMap(frame: Uint8Array): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  if (frame[0] !== TYPE.map) return map;
  const elements = elementsOf(frame).map(textOf);
  for (let at = 0; at < elements.length; at += 2) map.set(elements[at] as string, elements[at + 1] as string);
  return map;
}
