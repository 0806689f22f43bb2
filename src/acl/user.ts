/**
 * A user: its passwords, by their digests, and what it may do, by the rules of Redis's ACL
 * (https://redis.io/docs/management/security/acl/). Texts have a character a byte.
 */
import { passwordDigest } from '../base/client-rules.js';
import type { CommandSpec } from '../resp/commands.js';
import { type Arguments, READ } from './key-needs.js';
import { RULE_FAULT, type RuleFault } from './rule-fault.js';
import { type Denial, Selector } from './selector.js';

/** Whom a client is that has said nothing, and whom AUTH <password> means. */
export const DEFAULT_USER = 'default';

const DENIAL_RANK = { command: 0, key: 1, channel: 2 } as const;

export class User {
  readonly name: string;
  private isOn = false;
  private needsNoPassword = false;
  /** Of DUMP's payloads, which nodes check as they are configured to: kept to be shown. */
  private sanitizing: '' | 'sanitize-payload' | 'skip-sanitize-payload' = '';
  /** SHA-256 in hexadecimal. */
  private digests: string[] = [];
  /** The first is that of the rules that stand in no parentheses. */
  private selectors: Selector[] = [new Selector()];

  constructor(name: string) {
    this.name = name;
  }

  copy(): User {
    const copy = new User(this.name);
    copy.isOn = this.isOn;
    copy.needsNoPassword = this.needsNoPassword;
    copy.sanitizing = this.sanitizing;
    copy.digests = [...this.digests];
    copy.selectors = this.selectors.map((selector) => selector.copy());
    return copy;
  }

  get isEnabled(): boolean {
    return this.isOn;
  }

  get hasAnyPassword(): boolean {
    return this.needsNoPassword;
  }

  get passwordDigests(): readonly string[] {
    return this.digests;
  }

  /** Whether it may do all that there is: then nobody need look at its commands. */
  get isUnrestricted(): boolean {
    return this.selectors.some((selector) => selector.isUnrestricted);
  }

  /** Whether one of its selectors allows the command, and lets it read every key. See Selector.denial. */
  readsAllKeys(spec: CommandSpec, args: Arguments, positions: Int32Array, keyCount: number): boolean {
    return this.selectors.some(
      (selector) => selector.readsAllKeys && selector.denial(spec, args, positions, keyCount) === null,
    );
  }

  /** A rule whose parentheses are closed (`joinSelectors`). Nothing changes where it returns a fault. */
  apply(rule: string): RuleFault | null {
    if (rule === '') return null;
    switch (rule.toLowerCase()) {
      case 'on':
      case 'off':
        this.isOn = rule.toLowerCase() === 'on';
        return null;
      case 'sanitize-payload':
      case 'skip-sanitize-payload':
        this.sanitizing = rule.toLowerCase() as User['sanitizing'];
        return null;
      case 'nopass':
      case 'resetpass':
        this.needsNoPassword = rule.toLowerCase() === 'nopass';
        this.digests = [];
        return null;
      case 'clearselectors':
        this.selectors.length = 1;
        return null;
      case 'reset':
        this.isOn = false;
        this.needsNoPassword = false;
        this.digests = [];
        this.sanitizing = 'sanitize-payload';
        this.selectors = [new Selector()];
        return null;
    }
    switch (rule[0]) {
      case '>':
      case '#':
      case '<':
      case '!':
        return this.applyPassword(rule);
      case '(':
        return rule.endsWith(')') ? this.applySelector(rule.slice(1, -1)) : RULE_FAULT.syntax;
      default:
        return (this.selectors[0] as Selector).apply(rule);
    }
  }

  private applyPassword(rule: string): RuleFault | null {
    const isPlain = rule[0] === '>' || rule[0] === '<';
    const digest = isPlain ? passwordDigest(Buffer.from(rule.slice(1), 'latin1')) : rule.slice(1);
    if (!/^[0-9a-f]{64}$/.test(digest)) return RULE_FAULT.badDigest;
    const place = this.digests.indexOf(digest);
    if (rule[0] === '>' || rule[0] === '#') {
      if (place < 0) this.digests.push(digest);
      this.needsNoPassword = false;
      return null;
    }
    if (place < 0) return RULE_FAULT.noPassword;
    this.digests.splice(place, 1);
    return null;
  }

  private applySelector(rules: string): RuleFault | null {
    const selector = new Selector();
    for (const rule of rules.split(' ')) {
      const fault = rule === '' ? null : selector.apply(rule);
      if (fault !== null) return fault;
    }
    this.selectors.push(selector);
    return null;
  }

  /** What of the command it may not do, or null. Of several selectors that refuse, the one that got farthest. See Selector.denial. */
  denial(spec: CommandSpec, args: Arguments, positions: Int32Array, keyCount: number): Denial | null {
    let farthest: Denial | null = null;
    for (const selector of this.selectors) {
      const denial = selector.denial(spec, args, positions, keyCount);
      if (denial === null) return null;
      if (farthest === null || isFarther(denial, farthest)) farthest = denial;
    }
    return farthest;
  }

  allowsKey(args: Arguments, argument: number, need: number): boolean {
    return this.selectors.some((selector) => selector.allowsKey(args, argument, need));
  }

  /** Whether it may read the key of that name, one character a byte. */
  readsKey(name: string): boolean {
    const bytes = Buffer.from(name, 'latin1');
    return this.selectors.some((selector) => selector.allowsBytes(bytes, 0, bytes.length, READ));
  }

  /** Whether it may stay subscribed to that channel, or pattern of channels. */
  allowsChannel(name: string, isPattern: boolean): boolean {
    const bytes = Buffer.from(name, 'latin1');
    return this.selectors.some((selector) => selector.allowsChannel(bytes, 0, bytes.length, isPattern));
  }

  get flags(): string[] {
    return [
      this.isOn ? 'on' : 'off',
      ...(this.needsNoPassword ? ['nopass'] : []),
      ...(this.sanitizing === '' ? [] : [this.sanitizing]),
    ];
  }

  /** All of its selectors, the first that of the rules in no parentheses: as ACL GETUSER shows them. */
  describeSelectors(): { commands: string; keys: string; channels: string }[] {
    return this.selectors.map((selector) => ({
      commands: selector.commands.describe(),
      keys: selector.describeKeys(),
      channels: selector.describeChannels(),
    }));
  }

  /** Rules that make it of a new user: as ACL LIST shows them. */
  describe(): string {
    const [root, ...others] = this.selectors.map((selector) => selector.describe()) as [string, ...string[]];
    const digests = this.digests.map((digest) => `#${digest}`);
    return [...this.flags, ...digests, root, ...others.map((rules) => `(${rules})`)].join(' ');
  }
}

/** One of that name with all rights. */
export function unlimitedUser(name: string): User {
  const user = new User(name);
  for (const rule of ['on', 'nopass', '~*', '&*', '+@all']) user.apply(rule);
  return user;
}

function isFarther(one: Denial, other: Denial): boolean {
  const distance = DENIAL_RANK[one.kind] - DENIAL_RANK[other.kind];
  return distance > 0 || (distance === 0 && one.argument > other.argument);
}
