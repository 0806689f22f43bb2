/** A command as MONITOR shows it, in Redis's form (replication.c: replicationFeedMonitors). */
import { RECORD_BYTES_MAX } from '../base/monitor-feed.js';

/** `+1700000000.000001 [0 127.0.0.1:6379] "set" "key" "value"`, with its line end. `shown` is of showWords. */
export function monitorLine(timeMs: number, database: number, address: string, shown: string): Uint8Array {
  const seconds = Math.floor(timeMs / 1000);
  const micros = Math.floor((timeMs - seconds * 1000) * 1000);
  return Buffer.from(`+${seconds}.${String(micros).padStart(6, '0')} [${database} ${address}] ${shown}\r\n`, 'latin1');
}

/** A line has so much room for the words. */
const SHOWN_MAX = RECORD_BYTES_MAX - 256;

/** The words of a command, quoted; what is too long for a line is cut off, and said to be. */
export function showWords(words: readonly Uint8Array[]): string {
  let shown = '';
  for (const [index, word] of words.entries()) {
    const room = SHOWN_MAX - shown.length;
    // A byte takes four at the most.
    const bytes = Math.min(word.length, Math.floor(room / 4));
    shown += `${index === 0 ? '' : ' '}"${escaped(word.subarray(0, bytes))}"`;
    if (bytes < word.length || room < MORE_ROOM)
      return `${shown} "... (${word.length - bytes} more bytes and ${words.length - index - 1} more arguments)"`;
  }
  return shown;
}

/** Left of a line when it gets no more words. */
const MORE_ROOM = 1024;

const NAMED: ReadonlyMap<string, string> = new Map([
  ['\\', '\\\\'],
  ['"', '\\"'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
]);

/** As Redis's sdscatrepr. */
function escaped(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  return text.replace(/[^ !#-[\]-~]/g, (character) => {
    return NAMED.get(character) ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

const REDACTED = Buffer.from('(redacted)');

/** `words` without the passwords in them: those of AUTH, and of HELLO … AUTH user password. */
export function redacted(name: string, words: readonly Uint8Array[]): readonly Uint8Array[] {
  if (name === 'auth') return words.map((word, index) => (index === 0 ? word : REDACTED));
  if (name !== 'hello') return words;
  const shown = [...words];
  // As HELLO reads its options: what follows SETNAME is a name, also where it says AUTH. What it does not know ends it.
  for (let index = 2; index + 1 < words.length; ) {
    const option = Buffer.from(words[index] as Uint8Array).toString('latin1');
    if (/^auth$/i.test(option)) {
      shown.fill(REDACTED, index + 1, index + 3);
      index += 3;
    } else if (/^setname$/i.test(option)) index += 2;
    else break;
  }
  return shown;
}
