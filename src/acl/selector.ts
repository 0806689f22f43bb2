/** One set of permissions: commands, keys and channels that go together. A user has one, and more in parentheses. */
import { BytePattern } from '../base/byte-pattern.js';
import { MALFORMED } from '../resp/command-keys.js';
import { COMMAND_FLAG } from '../resp/command-spec.js';
import type { CommandSpec } from '../resp/commands.js';
import { hasBlank } from './blank.js';
import { CommandSet } from './command-set.js';
import { type Arguments, needOf, READ, WRITE } from './key-needs.js';
import { RULE_FAULT, type RuleFault } from './rule-fault.js';

interface KeyPattern {
  readonly pattern: BytePattern;
  /** READ and WRITE as bits. */
  readonly allows: number;
}

/** What was refused; the later the kind, the more of the command was allowed. `argument`: which of them, 0 for the command. */
export interface Denial {
  readonly kind: 'command' | 'key' | 'channel';
  readonly argument: number;
}

const DENIED_COMMAND: Denial = { kind: 'command', argument: 0 };
const DENIED_KEYS: Denial = { kind: 'key', argument: 0 };

/** Of those that name channels: how many of their arguments are, and whether they are patterns. Those that end a subscription may. */
const CHANNELS: ReadonlyMap<string, { isOne: boolean; isPattern: boolean }> = new Map([
  ['publish', { isOne: true, isPattern: false }],
  ['spublish', { isOne: true, isPattern: false }],
  ['subscribe', { isOne: false, isPattern: false }],
  ['ssubscribe', { isOne: false, isPattern: false }],
  ['psubscribe', { isOne: false, isPattern: true }],
]);

export class Selector {
  readonly commands: CommandSet;
  private keys: KeyPattern[] = [];
  private channels: BytePattern[] = [];
  private hasAllKeys = false;
  hasAllChannels = false;

  constructor(commands = new CommandSet()) {
    this.commands = commands;
  }

  copy(): Selector {
    const copy = new Selector(this.commands.copy());
    copy.keys = [...this.keys];
    copy.channels = [...this.channels];
    copy.hasAllKeys = this.hasAllKeys;
    copy.hasAllChannels = this.hasAllChannels;
    return copy;
  }

  get isUnrestricted(): boolean {
    return this.commands.isAll && this.hasAllKeys && this.hasAllChannels;
  }

  /** Patterns of channels, one character a byte. */
  get channelPatterns(): readonly string[] {
    return this.channels.map(({ text }) => text);
  }

  /** A rule that stands in parentheses as well as outside: `+get`, `~a*`, `allchannels` …. Nothing changes where it returns a fault. */
  apply(rule: string): RuleFault | null {
    switch (rule.toLowerCase()) {
      case 'allkeys':
      case '~*':
        this.setKeys(true);
        return null;
      case 'resetkeys':
        this.setKeys(false);
        return null;
      case 'allchannels':
      case '&*':
        this.setChannels(true);
        return null;
      case 'resetchannels':
        this.setChannels(false);
        return null;
      case 'allcommands':
      case '+@all':
        this.commands.setAll(true);
        return null;
      case 'nocommands':
      case '-@all':
        this.commands.setAll(false);
        return null;
    }
    switch (rule[0]) {
      case '~':
        return this.addKeys(rule.slice(1), READ | WRITE);
      case '%':
        return this.applyPercent(rule);
      case '&':
        return this.addChannels(rule.slice(1));
      case '+':
      case '-':
        return this.commands.apply(rule);
      default:
        return RULE_FAULT.syntax;
    }
  }

  private setKeys(isAll: boolean): void {
    this.hasAllKeys = isAll;
    this.keys = [];
  }

  private setChannels(isAll: boolean): void {
    this.hasAllChannels = isAll;
    this.channels = [];
  }

  /** `%R~a*`, `%W~a*`, `%RW~a*` */
  private applyPercent(rule: string): RuleFault | null {
    if (this.hasAllKeys) return RULE_FAULT.allKeys;
    const [, letters = '', pattern = ''] = /^%([RW]*)(?:~([\s\S]*))?$/i.exec(rule) ?? [];
    const allows = (/r/i.test(letters) ? READ : 0) | (/w/i.test(letters) ? WRITE : 0);
    if (allows === 0 || /r.*r|w.*w/i.test(letters)) return RULE_FAULT.syntax;
    if (allows === (READ | WRITE) && pattern === '*') {
      this.setKeys(true);
      return null;
    }
    return this.addKeys(pattern, allows);
  }

  private addKeys(pattern: string, allows: number): RuleFault | null {
    if (this.hasAllKeys) return RULE_FAULT.allKeys;
    if (hasBlank(pattern)) return RULE_FAULT.syntax;
    const index = this.keys.findIndex(({ pattern: { text } }) => text === pattern);
    const same = this.keys[index];
    if (same !== undefined) this.keys[index] = { pattern: same.pattern, allows: same.allows | allows };
    else this.keys.push({ pattern: new BytePattern(pattern), allows });
    return null;
  }

  private addChannels(pattern: string): RuleFault | null {
    if (this.hasAllChannels) return RULE_FAULT.allChannels;
    if (hasBlank(pattern)) return RULE_FAULT.syntax;
    if (!this.channels.some(({ text }) => text === pattern)) this.channels.push(new BytePattern(pattern));
    return null;
  }

  /**
   * What of the command it does not allow; `positions[0 … keyCount)`: which of its arguments are keys (findKeys). Null: it allows all. Of
   * keys that cannot be found nobody knows that they are allowed.
   */
  denial(spec: CommandSpec, args: Arguments, positions: Int32Array, keyCount: number): Denial | null {
    if (!this.allowsCommand(spec, args)) return DENIED_COMMAND;
    if (keyCount === MALFORMED && !this.hasAllKeys) return DENIED_KEYS;
    for (let index = 0; index < keyCount && !this.hasAllKeys; index++) {
      const argument = positions[index] as number;
      if (!this.allowsKey(args, argument, needOf(spec, argument, args))) return { kind: 'key', argument };
    }
    const channels = this.hasAllChannels ? undefined : CHANNELS.get(spec.name);
    if (channels === undefined) return null;
    const end = channels.isOne ? 2 : args.count;
    for (let argument = 1; argument < end; argument++) {
      const [start, stop] = [args.starts[argument] as number, args.ends[argument] as number];
      if (!this.allowsChannel(args.bytes, start, stop, channels.isPattern)) return { kind: 'channel', argument };
    }
    return null;
  }

  private allowsCommand(spec: CommandSpec, { bytes, starts, ends, count }: Arguments): boolean {
    if (this.commands.isAll || (spec.flags & COMMAND_FLAG.no_auth) !== 0) return true;
    return this.commands.has(spec, () => {
      const argument = spec.name.includes('|') ? 2 : 1;
      return argument < count ? Buffer.from(bytes.subarray(starts[argument], ends[argument])).toString('latin1') : null;
    });
  }

  /** `need`: as of needOf. */
  allowsKey({ bytes, starts, ends }: Arguments, argument: number, need: number): boolean {
    return this.allowsBytes(bytes, starts[argument] as number, ends[argument] as number, need);
  }

  /** As `allowsKey`, of the key bytes[start, end). */
  allowsBytes(bytes: Uint8Array, start: number, end: number, need: number): boolean {
    if (this.hasAllKeys) return true;
    for (const { pattern, allows } of this.keys) {
      if ((allows & need) === need && pattern.matches(bytes, start, end)) return true;
    }
    return false;
  }

  /** Whether every key may be read: by a pattern for all of them. */
  get readsAllKeys(): boolean {
    return this.hasAllKeys || this.keys.some(({ pattern, allows }) => (allows & READ) !== 0 && ALL.test(pattern.text));
  }

  /** Whether it allows the channel bytes[start, end); a pattern of channels, where it is one that the rules have, too. */
  allowsChannel(bytes: Uint8Array, start: number, end: number, isPattern: boolean): boolean {
    if (this.hasAllChannels) return true;
    if (!isPattern) return this.channels.some((pattern) => pattern.matches(bytes, start, end));
    const text = Buffer.from(bytes.subarray(start, end)).toString('latin1');
    return this.channels.some((pattern) => pattern.text === text);
  }

  describeKeys(): string {
    if (this.hasAllKeys) return '~*';
    const signs = ['', '%R~', '%W~', '~'];
    return this.keys.map(({ pattern, allows }) => `${signs[allows]}${pattern.text}`).join(' ');
  }

  describeChannels(): string {
    return this.hasAllChannels ? '&*' : this.channels.map(({ text }) => `&${text}`).join(' ');
  }

  /** Rules that come to the same, to a new selector: `~a* resetchannels -@all +get`. */
  describe(): string {
    const keys = this.describeKeys();
    const channels = this.describeChannels();
    const words = [
      keys,
      this.hasAllChannels ? channels : `resetchannels ${channels}`.trimEnd(),
      this.commands.describe(),
    ];
    return words.filter((word) => word !== '').join(' ');
  }
}

/** Patterns that every text fits. */
const ALL = /^\*+$/;
