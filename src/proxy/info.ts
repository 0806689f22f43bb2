/**
 * INFO's texts of several servers made one: sections and fields in the order of the first, what only others have in its
 * place among them. How a figure is merged says info-rules.ts; lists of figures (commands, errors, databases) are merged
 * entry by entry.
 */
import { infoRule } from './info-rules.js';

/** The fields that the proxy knows better than the nodes, by name; and what it adds to those that are sums. */
export type OwnFields = Readonly<Record<string, string | number>>;

/** The texts of INFO of several servers as one text. */
export function mergeInfoTexts(texts: readonly string[], own: OwnFields): string {
  const all = texts.map(readSections);
  numberReplicas(all);
  const titles = new Set(all.flatMap((sections) => [...sections.keys()]));
  return [...titles]
    .map((title) => {
      const sections = all.map((sections) => sections.get(title) ?? []);
      return formatSection(title, title === MODULES ? union(sections) : mergeSection(sections, own));
    })
    .join('\r\n');
}

/** `# Title`, then its fields, one a line. */
export function formatSection(title: string, fields: Iterable<readonly [string, string | number]>): string {
  return [`# ${title}`, ...[...fields].map(([name, text]) => `${name}:${text}`), ''].join('\r\n');
}

type Field = [name: string, text: string];
type Section = Field[];

/** The only section in which a name stands more than once: a module a line. */
const MODULES = 'Modules';

function readSections(text: string): Map<string, Section> {
  const sections = new Map<string, Section>();
  let section: Section = [];
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (line.startsWith('# ')) {
      section = [];
      sections.set(line.slice(2), section);
    } else if (colon > 0) section.push([line.slice(0, colon), line.slice(colon + 1)]);
  }
  return sections;
}

/** The replicas of all nodes are numbered through: slave0, slave1 … */
function numberReplicas(all: readonly Map<string, Section>[]): void {
  let count = 0;
  for (const sections of all) {
    for (const field of sections.get('Replication') ?? []) {
      if (/^slave\d+$/.test(field[0])) field[0] = `slave${count++}`;
    }
  }
}

function union(sections: readonly Section[]): Section {
  const lines = new Map(sections.flat().map((field) => [field.join(':'), field]));
  return [...lines.values()];
}

function mergeSection(sections: readonly Section[], own: OwnFields): Field[] {
  const maps = sections.map((section) => new Map(section));
  return fieldNames(sections).map((name) => {
    const texts = maps.flatMap((map) => map.get(name) ?? []);
    return [name, mergeField(name, texts, maps, own)];
  });
}

/** The names in the order of the first section; what it lacks stands behind what it stands behind elsewhere. */
function fieldNames(sections: readonly Section[]): string[] {
  const names: string[] = [];
  for (const section of sections) {
    let before: string | undefined;
    for (const [name] of section) {
      if (!names.includes(name)) {
        const list = LISTS.find(({ pattern }) => pattern.test(name));
        let at = before === undefined ? 0 : names.indexOf(before) + 1;
        while (at < names.length && list?.goesBefore(names[at] as string, name) === true) at++;
        names.splice(at, 0, name);
      }
      before = name;
    }
  }
  return names;
}

/** Fields with several figures in one, of which a server has as many as it has commands, errors, databases. */
interface List {
  pattern: RegExp;
  /** Whether `name`, which is there, stands before `added`, which is of this list. */
  goesBefore(name: string, added: string): boolean;
  merge(entries: readonly Map<string, string>[]): Map<string, string>;
}

const byNumber = new Intl.Collator('en', { numeric: true, caseFirst: 'upper' });

const LISTS: readonly List[] = [
  list(/^cmdstat_/, false, (entries) => {
    const merged = addUp(entries);
    const [calls, usec] = [Number(merged.get('calls')), Number(merged.get('usec'))];
    return merged.set('usec_per_call', (calls === 0 ? 0 : usec / calls).toFixed(2));
  }),
  list(/^errorstat_/, true, addUp),
  list(/^latency_percentiles_usec_/, false, (entries) => combine(entries, 'largest')),
  list(/^db\d+$/, true, (entries) => {
    const merged = addUp(entries);
    let [ttlSum, expires] = [0, 0];
    // 0: that node has not looked yet.
    for (const entry of entries.filter((one) => Number(one.get('avg_ttl')) > 0)) {
      ttlSum += Number(entry.get('expires')) * Number(entry.get('avg_ttl'));
      expires += Number(entry.get('expires'));
    }
    return merged.set('avg_ttl', String(expires === 0 ? 0 : Math.round(ttlSum / expires)));
  }),
  list(/^slave\d+$/, true, addUp),
];

/** A list in the order of names, or with what is added at the end. */
function list(pattern: RegExp, isSorted: boolean, merge: List['merge']): List {
  return {
    pattern,
    goesBefore: (name, added) => pattern.test(name) && (!isSorted || byNumber.compare(name, added) < 0),
    merge,
  };
}

function addUp(entries: readonly Map<string, string>[]): Map<string, string> {
  return combine(entries, 'sum');
}

function combine(entries: readonly Map<string, string>[], kind: 'sum' | 'largest'): Map<string, string> {
  const names = new Set(entries.flatMap((entry) => [...entry.keys()]));
  return new Map(
    [...names].map((name) => [
      name,
      mergeNumbers(
        kind,
        entries.flatMap((entry) => entry.get(name) ?? []),
      ),
    ]),
  );
}

/** `texts` are the values of the field `name` of those sections that have it; at least one. */
function mergeField(
  name: string,
  texts: readonly string[],
  sections: readonly Map<string, string>[],
  own: OwnFields,
): string {
  const rule = infoRule(name);
  const first = texts[0] as string;
  if (rule.kind === 'own') return String(own[name] ?? first);
  // Clients that the proxy itself keeps waiting come on top of the nodes'.
  if (rule.kind === 'sum' && own[name] !== undefined) return mergeNumbers('sum', [...texts, String(own[name])]);
  if (texts.length === 1) return first;
  const list = LISTS.find(({ pattern }) => pattern.test(name));
  if (list !== undefined) return formatEntry(list.merge(texts.map(readEntry)));
  const total = (names: readonly string[] = []) => {
    const [quantity = Number.NaN, less = 0] = names.map((of) => mergeOther(of, sections));
    return quantity - less;
  };
  switch (rule.kind) {
    case 'first':
      return first;
    case 'unless':
      return texts.find((text) => text !== rule.good) ?? first;
    case 'human':
      return humanBytes(total(rule.of));
    case 'ratio': {
      const divisor = total(rule.by);
      const ratio = divisor <= 0 ? 0 : total(rule.of) / divisor;
      // A version without the fields that it is worked out from.
      if (Number.isNaN(ratio)) return mergeNumbers('largest', texts);
      return rule.percent === undefined ? ratio.toFixed(2) : `${(ratio * 100).toFixed(2)}${rule.percent}`;
    }
    default:
      return mergeNumbers(rule.kind, texts);
  }
}

/** What becomes of the field `name`, which another is worked out from; NaN where it is missing. */
function mergeOther(name: string, sections: readonly Map<string, string>[]): number {
  const texts = sections.flatMap((section) => section.get(name) ?? []);
  return texts.length === 0 ? Number.NaN : Number(mergeField(name, texts, sections, {}));
}

/** With as many decimals as the first has. What is no number is the first. */
function mergeNumbers(kind: 'sum' | 'bound' | 'largest' | 'smallest', texts: readonly string[]): string {
  const first = texts[0] as string;
  const numbers = texts.map(Number);
  if (numbers.some(Number.isNaN)) return first;
  return mergeQuantities(kind, numbers).toFixed(first.split('.')[1]?.length ?? 0);
}

function mergeQuantities(kind: 'sum' | 'bound' | 'largest' | 'smallest', numbers: readonly number[]): number {
  switch (kind) {
    case 'largest':
      return Math.max(...numbers);
    case 'smallest':
      return Math.min(...numbers);
    case 'bound':
      if (numbers.includes(0)) return 0;
  }
  return numbers.reduce((sum, quantity) => sum + quantity, 0);
}

/** `calls=2,usec=10` */
function readEntry(text: string): Map<string, string> {
  return new Map(
    text.split(',').map((part) => {
      const equals = part.indexOf('=');
      return [part.slice(0, equals), part.slice(equals + 1)];
    }),
  );
}

function formatEntry(entry: ReadonlyMap<string, string>): string {
  return [...entry].map(([name, text]) => `${name}=${text}`).join(',');
}

/** Redis's bytesToHuman. */
function humanBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  const units = ['K', 'M', 'G', 'T', 'P'];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(2)}${units[unit]}`;
}
