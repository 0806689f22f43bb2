// A command's arguments as the deciders of the data plane get them: positions in one memory.

export interface Arguments {
  readonly bytes: Uint8Array;
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly count: number;
}

/** Lays arguments out one after the other, with bytes of no meaning before, between and after them. */
export function layOut(args: readonly (string | Uint8Array)[]): Arguments {
  const words = args.map((arg) => (typeof arg === 'string' ? Buffer.from(arg, 'latin1') : arg));
  const noise = Buffer.from('{*}');
  const start = new Int32Array(words.length);
  const end = new Int32Array(words.length);
  const pieces: Uint8Array[] = [noise];
  let position = noise.length;
  for (const [i, word] of words.entries()) {
    start[i] = position;
    position += word.length;
    end[i] = position;
    position += noise.length;
    pieces.push(word, noise);
  }
  return { bytes: Buffer.concat(pieces), start, end, count: words.length };
}
