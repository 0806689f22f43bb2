/** Writes the requests of a test, each for keys at random. */
import { encodeCommand } from '../../src/resp/reply.js';
import type { Output } from '../../src/transport/output.js';
import { RANDOM_DIGITS } from '../compare/tests.js';

const ZERO = 0x30;

interface Template {
  readonly bytes: Uint8Array;
  /** Where twelve digits begin. */
  readonly numbers: readonly number[];
}

export class Requests {
  private readonly templates: readonly Template[];
  private readonly keys: number;
  private readonly draw: () => number;

  /** Each of `commands` comes equally often, with numbers below `keys` where it has `__rand_int__`. */
  constructor(commands: readonly (readonly string[])[], keys: number, draw: () => number = Math.random) {
    this.templates = commands.map(templateOf);
    this.keys = keys;
    this.draw = draw;
  }

  appendTo(output: Output): void {
    const { bytes, numbers } = this.templates[Math.floor(this.draw() * this.templates.length)] as Template;
    for (let index = 0; index < numbers.length; index++) {
      writeDigits(bytes, numbers[index] as number, Math.floor(this.draw() * this.keys));
    }
    output.appendBytes(bytes);
  }
}

function templateOf(words: readonly string[]): Template {
  const bytes = encodeCommand(words);
  const numbers: number[] = [];
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = text.indexOf(RANDOM_DIGITS); at >= 0; at = text.indexOf(RANDOM_DIGITS, at + 1)) numbers.push(at);
  return { bytes, numbers };
}

function writeDigits(bytes: Uint8Array, start: number, value: number): void {
  let rest = value;
  for (let at = start + RANDOM_DIGITS.length - 1; at >= start; at--) {
    const next = Math.floor(rest / 10);
    bytes[at] = ZERO + rest - next * 10;
    rest = next;
  }
}
