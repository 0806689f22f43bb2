/** A pattern of names, as `globOf` has it, for bytes: those that most people write are compared without making text of the bytes. */
import { globOf } from './glob.js';

export class BytePattern {
  /** One character a byte. */
  readonly text: string;
  /** What a name begins with, or is (`isWhole`), of a pattern that says no more; null of any other. */
  private readonly head: Uint8Array | null;
  private readonly isWhole: boolean;
  private readonly fits: (text: string) => boolean;

  constructor(text: string) {
    this.text = text;
    const plain = /^([^*?[\\]*)(\*?)$/.exec(text);
    this.head = plain === null ? null : Buffer.from(plain[1] as string, 'latin1');
    this.isWhole = plain?.[2] === '';
    this.fits = globOf(text);
  }

  /** Whether bytes[start, end) fit. */
  matches(bytes: Uint8Array, start: number, end: number): boolean {
    const { head } = this;
    // For what is nothing no star is.
    if (start === end) return this.text === '';
    if (head === null) return this.fits(latin1(bytes, start, end));
    if (this.isWhole ? end - start !== head.length : end - start < head.length) return false;
    for (let index = 0; index < head.length; index++) if (bytes[start + index] !== head[index]) return false;
    return true;
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}
