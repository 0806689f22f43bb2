/** What SCAN takes after its cursor, read as Redis reads it. */
import { errorReply } from '../resp/reply.js';

export interface ScanOptions {
  match: Uint8Array;
  /** A whole number above 0, in digits. */
  count: string;
  /** As TYPE says it; null: any. */
  type: string | null;
}

const SYNTAX = errorReply('ERR syntax error');
const NO_INTEGER = errorReply('ERR value is not an integer or out of range');
const COUNT_DEFAULT = '10';

/** `words`: those after the cursor. Returns the error reply for what SCAN does not take. */
export function scanOptions(words: readonly Uint8Array[]): ScanOptions | Uint8Array {
  const options: ScanOptions = { match: Buffer.from('*'), count: COUNT_DEFAULT, type: null };
  for (let at = 0; at < words.length; at += 2) {
    const [name, value] = [words[at] as Uint8Array, words[at + 1]];
    if (value === undefined) return SYNTAX;
    const text = Buffer.from(value).toString('latin1');
    switch (Buffer.from(name).toString('latin1').toLowerCase()) {
      case 'match':
        options.match = value;
        break;
      case 'count':
        if (!/^(0|-?[1-9]\d{0,17})$/.test(text)) return NO_INTEGER;
        if (text.startsWith('-') || text === '0') return SYNTAX;
        options.count = text;
        break;
      case 'type':
        options.type = text;
        break;
      default:
        return SYNTAX;
    }
  }
  return options;
}
