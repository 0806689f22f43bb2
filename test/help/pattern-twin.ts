/** The slow twin of routing/colocate.ts: a rule as a regular expression over text with one character a byte. */

export class PatternTwin {
  private readonly expression: RegExp;

  constructor(pattern: string) {
    const latin1 = Buffer.from(pattern).toString('latin1');
    const pieces = latin1.split(/(\{[^{}]*\}|\*)/).filter((piece) => piece !== '');
    const source = pieces.map((piece, index) => {
      const rest = pieces.slice(index + 1);
      const next = rest[0];
      // Whatever does not begin the next literal; a `*` before the last one takes all it can.
      const until = next === undefined ? '[^]' : `(?!${escapeText(next)})[^]`;
      if (piece === '*') return rest.length === 1 ? '[^]*' : `(?:${until})*`;
      if (!piece.startsWith('{')) return escapeText(piece);
      if (index === 0 && piece !== '{*}') return `(?<part>${escapeText(piece.slice(1, -1))})`;
      return `(?<part>(?:${until})+)`;
    });
    this.expression = new RegExp(`^${source.join('')}$`);
  }

  /** As `matchOf`, and null for a key with a hash tag of its own. */
  capture(key: Buffer): string | null {
    return PatternTwin.hasTag(key) ? null : this.matchOf(key);
  }

  /** What stands in the place of the braces, or null where the pattern does not match. */
  matchOf(key: Buffer): string | null {
    const part = this.expression.exec(key.toString('latin1'))?.groups?.['part'];
    return part === undefined ? null : Buffer.from(part, 'latin1').toString();
  }

  /** Whether Redis Cluster would hash a part of the key only. */
  static hasTag(key: Buffer): boolean {
    return /^[^{]*\{[^}]+\}/.test(key.toString('latin1'));
  }
}

function escapeText(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
