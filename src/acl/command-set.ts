/**
 * Which commands a user may give: a bit for each, and the first arguments by which a command that is not allowed is allowed all the same
 * (`+select|0`). What made it so is not kept: as Redis 7.0, the shortest rules that come to the same are shown.
 */
import { COMMANDS, type CommandSpec } from '../resp/commands.js';
import { hasBlank } from './blank.js';
import { RULE_FAULT, type RuleFault } from './rule-fault.js';

/** Those of Redis 7.0, in the order in which ACL CAT names them. */
export const CATEGORIES: readonly string[] = [
  ...['keyspace', 'read', 'write', 'set', 'sortedset', 'list', 'hash', 'string', 'bitmap', 'hyperloglog', 'geo'],
  ...['stream', 'pubsub', 'admin', 'fast', 'slow', 'blocking', 'dangerous', 'connection', 'transaction', 'scripting'],
];

const BY_NAME: ReadonlyMap<string, CommandSpec> = new Map(COMMANDS.map((spec) => [spec.name, spec]));

/** The commands of that category, sorted by name; null where there is no such one. */
export function commandsOf(category: string): readonly CommandSpec[] | null {
  return OF_CATEGORY.get(category) ?? null;
}

const OF_CATEGORY: ReadonlyMap<string, readonly CommandSpec[]> = new Map(
  CATEGORIES.map((category) => [category, COMMANDS.filter(({ categories }) => categories.includes(category))]),
);

export class CommandSet {
  private readonly bits = new Uint8Array(COMMANDS.length);
  private readonly firstArguments = new Map<number, string[]>();
  /** Whether commands that nobody knows yet are in it: it was made by taking away from all. */
  private hasFuture = false;
  /** Those that `describe` takes away; null: not asked for since the set changed last. */
  private deniedCategories: ReadonlySet<string> | null = null;
  /** Nothing was taken away from all. */
  isAll = false;

  copy(): CommandSet {
    const copy = new CommandSet();
    copy.bits.set(this.bits);
    for (const [index, words] of this.firstArguments) copy.firstArguments.set(index, [...words]);
    copy.hasFuture = this.hasFuture;
    copy.isAll = this.isAll;
    return copy;
  }

  /** Whether it has the command whose argument 1 (2 of a subcommand) is `argument()`, which is asked for where need be: null for none. */
  has(spec: CommandSpec, argument: () => string | null): boolean {
    const bit = this.bits[spec.index];
    if (bit === 1) return true;
    if (bit === undefined) return this.hasUnknown(spec);
    const allowed = this.firstArguments.get(spec.index);
    if (allowed === undefined) return false;
    const given = argument()?.toLowerCase();
    return allowed.some((word) => word.toLowerCase() === given);
  }

  /** One that the table lacks: it is in the set as those of its categories are, which are all that is known of it. */
  private hasUnknown({ categories }: CommandSpec): boolean {
    if (!this.hasFuture) return false;
    this.deniedCategories ??= new Set(
      this.describe()
        .split(' ')
        .filter((rule) => rule.startsWith('-@'))
        .map((rule) => rule.slice(2)),
    );
    const denied = this.deniedCategories;
    return !categories.some((category) => denied.has(category));
  }

  setAll(isAllowed: boolean): void {
    this.bits.fill(isAllowed ? 1 : 0);
    this.deniedCategories = null;
    this.firstArguments.clear();
    this.hasFuture = isAllowed;
    this.isAll = isAllowed;
  }

  /** `+get`, `-client|kill`, `+@read`, `+select|0`. Nothing changes where it returns a fault. */
  apply(rule: string): RuleFault | null {
    const isAllowed = rule[0] === '+';
    const name = rule.slice(1);
    if (name.startsWith('@')) return this.applyCategory(name.slice(1).toLowerCase(), isAllowed);
    const spec = BY_NAME.get(name.toLowerCase());
    const bar = name.lastIndexOf('|');
    if (bar < 0 || !isAllowed) {
      if (spec === undefined) return RULE_FAULT.unknown;
      this.set(spec, isAllowed);
      return null;
    }
    const outer = BY_NAME.get(name.slice(0, bar).toLowerCase());
    if (outer === undefined) return RULE_FAULT.unknown;
    if (outer.name.includes('|')) return RULE_FAULT.firstArgument;
    const word = name.slice(bar + 1);
    if (word === '' || hasBlank(word)) return RULE_FAULT.syntax;
    if (outer.subcommands === null) {
      this.allowFirst(outer, word);
      return null;
    }
    if (spec === undefined) return RULE_FAULT.unknown;
    this.set(spec, true);
    return null;
  }

  private applyCategory(category: string, isAllowed: boolean): RuleFault | null {
    if (category === 'all') {
      this.setAll(isAllowed);
      return null;
    }
    const commands = commandsOf(category);
    if (commands === null) return RULE_FAULT.unknown;
    for (const spec of commands) this.set(spec, isAllowed);
    return null;
  }

  private allowFirst(spec: CommandSpec, word: string): void {
    const words = this.firstArguments.get(spec.index) ?? [];
    if (!words.some((other) => other.toLowerCase() === word.toLowerCase())) words.push(word);
    this.firstArguments.set(spec.index, words);
  }

  /** A command with subcommands stands for all of them. */
  private set(spec: CommandSpec, isAllowed: boolean): void {
    this.setBit(spec, isAllowed);
    for (const sub of spec.subcommands?.values() ?? []) this.setBit(sub, isAllowed);
  }

  private setBit({ index }: CommandSpec, isAllowed: boolean): void {
    this.bits[index] = isAllowed ? 1 : 0;
    this.deniedCategories = null;
    this.firstArguments.delete(index);
    if (!isAllowed) this.isAll = false;
  }

  /**
   * Rules that come to this set: `+@all -@dangerous +info`. As Redis finds them: the categories that differ from it least, one after the
   * other, and then the commands by which these miss it.
   */
  describe(): string {
    const isTakenFrom = this.hasFuture;
    const [sign, inverse] = isTakenFrom ? ['-', '+'] : ['+', '-'];
    const made = new CommandSet();
    made.setAll(isTakenFrom);
    const rules = [isTakenFrom ? '+@all' : '-@all'];
    // What is left to be said.
    const rest = this.copy();
    const left = new Set(CATEGORIES);
    for (;;) {
      const best = rest.bestCategory(left, isTakenFrom);
      if (best === null) break;
      left.delete(best);
      made.apply(`${sign}@${best}`);
      rest.apply(`${inverse}@${best}`);
      rules.push(`${sign}@${best}`);
    }
    return [...rules, ...this.differencesTo(made)].join(' ');
  }

  /** The category most of whose commands are to be told, with the fewest that are not. */
  private bestCategory(left: ReadonlySet<string>, isTakenFrom: boolean): string | null {
    let best: string | null = null;
    let [fewest, most] = [Number.POSITIVE_INFINITY, 0];
    for (const category of left) {
      const commands = commandsOf(category) as readonly CommandSpec[];
      const on = commands.filter(({ index }) => this.bits[index] !== 0).length;
      const off = commands.length - on;
      const [different, same] = isTakenFrom ? [on, off] : [off, on];
      if (same <= different || different > fewest || (different === fewest && same <= most)) continue;
      best = category;
      [fewest, most] = [different, same];
    }
    return best;
  }

  /** The single commands that make this set of `made`, which becomes it. */
  private differencesTo(made: CommandSet): string[] {
    const rules: string[] = [];
    for (const spec of COMMANDS) {
      const isIn = this.bits[spec.index] !== 0;
      if (isIn !== (made.bits[spec.index] !== 0)) {
        rules.push(`${isIn ? '+' : '-'}${spec.name}`);
        made.set(spec, isIn);
      }
      if (isIn) continue;
      for (const word of this.firstArguments.get(spec.index) ?? []) rules.push(`+${spec.name}|${word}`);
    }
    return rules;
  }
}
