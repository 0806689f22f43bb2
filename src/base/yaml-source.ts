/**
 * A YAML text with the places of its parts, so that what is wrong with a value can be said with its line. Never repeats
 * the text in a message: it may hold passwords.
 */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
  type YAMLError,
} from 'yaml';
import { type Environment, expandVariables } from './environment.js';

export type Path = readonly (string | number)[];

/** Something wrong at a place of the text. Line and column count from 1. */
export interface Problem {
  line: number;
  column: number;
  text: string;
}

/** What the parser's error codes mean, for somebody who wrote the file by hand. */
const SYNTAX: Record<string, string> = {
  BAD_INDENT: 'the indentation does not fit the lines above, or a bracket is not closed',
  BAD_SCALAR_START: 'a value that starts with this character must be quoted',
  BLOCK_AS_IMPLICIT_KEY: 'a second ": " in one value: quote it, or indent the next line as its neighbours are',
  DUPLICATE_KEY: 'this key stands twice in the same map',
  MISSING_CHAR: 'a quote or a bracket is missing, or a colon after a key',
  MULTILINE_IMPLICIT_KEY: 'a colon is missing after a key, or a blank after its colon (key: value)',
  MULTIPLE_DOCS: 'one document is expected: remove the line ---',
  TAB_AS_INDENT: 'indent with spaces, not with tabs',
  TAG_RESOLVE_FAILED: 'a value that starts with ! is a YAML tag, and this one is not known: quote the value',
};

/** Uses of an anchor, counting those of the aliases in it. */
const ALIASES_MAX = 100;

export class YamlSource {
  /** The text as plain JavaScript values; undefined when it has problems. */
  readonly value: unknown;
  /** What is wrong with the text as YAML. */
  readonly problems: readonly Problem[];
  private readonly document: Document;
  private readonly lines = new LineCounter();
  /** The names of the variables in each value that has some. */
  private readonly variables = new Map<Scalar, string[]>();

  /**
   * By the `failsafe` schema every value is the text that stands there, also where it looks like a number. Variables of the
   * `environment` are filled into the values of maps and lists when all else has been parsed, so that none can add to the
   * structure; without an environment there are none.
   */
  constructor(text: string, schema: 'core' | 'failsafe' = 'core', environment: Environment | null = null) {
    this.document = parseDocument(text, { lineCounter: this.lines, prettyErrors: false, uniqueKeys: true, schema });
    this.problems = this.syntaxProblems(text);
    if (this.problems.length === 0) this.problems = this.danglingAliases();
    if (this.problems.length === 0) this.problems = this.strangeKeys();
    if (this.problems.length === 0 && environment !== null) this.problems = this.fillIn(environment);
    if (this.problems.length > 0) return;
    try {
      this.value = this.document.toJS({ maxAliasCount: ALIASES_MAX });
    } catch (error) {
      // Aliases of aliases could make gigabytes of a few lines.
      if (!(error instanceof ReferenceError)) throw error;
      this.problems = [
        this.problemAt(0, `a YAML alias (*) is used more than ${ALIASES_MAX} times: write the value out`),
      ];
    }
  }

  /** A problem with the value at `path`, or with what holds it where it is missing. */
  problem(path: Path, text: string): Problem {
    return this.problemAt(this.offset(path), text);
  }

  /** A problem with the key `key` of the map at `path`. */
  problemWithKey(path: Path, key: string, text: string): Problem {
    const map = this.find(path);
    const pair = isMap(map) ? map.items.find((item) => keyText(item.key) === key) : undefined;
    return this.problemAt(isNode(pair?.key) ? offsetOf(pair.key) : this.offset(path), text);
  }

  /** The value at `path` as plain JavaScript, undefined where there is none. */
  valueAt(path: Path): unknown {
    let value = this.value;
    for (const step of path) {
      if (typeof value !== 'object' || value === null) return undefined;
      value = (value as Record<string | number, unknown>)[step];
    }
    return value;
  }

  /** The names of the variables in the value at `path`. */
  variablesAt(path: Path): readonly string[] {
    let node = this.find(path);
    if (isAlias(node)) node = node.resolve(this.document) ?? null;
    return (isScalar(node) ? this.variables.get(node) : undefined) ?? [];
  }

  private syntaxProblems(text: string): Problem[] {
    if (text.includes('\0')) return [this.problemAt(0, 'this is not text in UTF-8: save it as UTF-8')];
    const faults = [...this.document.errors, ...this.document.warnings].map((fault) => {
      const opened = this.openedAt(fault);
      const says = opened === null ? syntaxProblem(text, fault) : 'the quote that begins here is not closed';
      return { ...this.problemAt(opened ?? fault.pos[0], says), isConsequence: fault.code === 'UNEXPECTED_TOKEN' };
    });
    // The parser goes on after a mistake and complains about its consequences: the first of a line says it.
    return faults
      .filter((one, index) => index === 0 || !one.isConsequence)
      .filter((one, index, all) => all.findIndex((other) => other.line === one.line) === index)
      .map(({ line, column, text }) => ({ line, column, text }));
  }

  /** Where the quote stands that the text ends in. */
  private openedAt({ code, pos }: YAMLError): number | null {
    if (code !== 'MISSING_CHAR') return null;
    let opened: number | null = null;
    visit(this.document, {
      Scalar: (_key, scalar) => {
        const isQuoted = scalar.type === 'QUOTE_DOUBLE' || scalar.type === 'QUOTE_SINGLE';
        if (isQuoted && scalar.range?.[1] === pos[0]) opened = offsetOf(scalar);
      },
    });
    return opened;
  }

  /** Keys that are maps or lists, as templates make them. */
  private strangeKeys(): Problem[] {
    const problems: Problem[] = [];
    visit(this.document, {
      Pair: (_key, pair) => {
        if (!isCollection(pair.key)) return;
        const text = 'a key in brackets: quote it, or fill in the template {{ … }}';
        problems.push(this.problemAt(offsetOf(pair.key), text));
      },
    });
    return problems;
  }

  /** Uses of anchors that are not there. */
  private danglingAliases(): Problem[] {
    const problems: Problem[] = [];
    visit(this.document, {
      Alias: (_key, alias) => {
        if (alias.resolve(this.document) !== undefined) return;
        problems.push(this.problemAt(offsetOf(alias), 'a value that starts with * is a YAML alias: quote the value'));
      },
    });
    return problems;
  }

  private fillIn(environment: Environment): Problem[] {
    const problems: Problem[] = [];
    visit(this.document, {
      Scalar: (key, scalar) => {
        if (key === 'key' || typeof scalar.value !== 'string' || !scalar.value.includes('${')) return;
        const expansion = expandVariables(scalar.value, environment);
        if ('faults' in expansion) {
          for (const fault of expansion.faults) problems.push(this.problemAt(offsetOf(scalar), fault));
          return;
        }
        scalar.value = expansion.text;
        this.variables.set(scalar, expansion.variables);
      },
    });
    return problems;
  }

  private problemAt(offset: number, text: string): Problem {
    const { line, col } = this.lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col), text };
  }

  private offset(path: Path): number {
    for (let length = path.length; length >= 0; length--) {
      const node = this.find(path.slice(0, length));
      if (node !== null) return offsetOf(node);
    }
    return 0;
  }

  private find(path: Path): Node | null {
    let node: unknown = this.document.contents;
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(this.document);
      if (!isCollection(node)) return null;
      node = node.get(step, true);
    }
    return isNode(node) ? node : null;
  }
}

function syntaxProblem(text: string, { code, pos }: { code: string; pos: readonly [number, number] }): string {
  const [line = ''] = text.slice(text.lastIndexOf('\n', pos[0] - 1) + 1).split('\n', 1);
  if (line.includes('\u00a0')) return 'a no-break space (U+00A0) stands on this line: write a plain one';
  if (/^\s*[\w-]+\s*=/.test(line)) return 'write key: value, not key = value';
  if (text.startsWith('${', pos[0] - 1)) return 'inside braces or brackets a value with ${NAME} must be quoted';
  return SYNTAX[code] ?? 'this is not valid YAML: put values with any of : , # [ ] { } in quotes';
}

function offsetOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

function keyText(key: unknown): string {
  return isNode(key) ? String(key.toJSON()) : String(key);
}
