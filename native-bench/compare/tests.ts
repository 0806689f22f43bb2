/**
 * What is asked for in a test. The words are those of redis-benchmark: `__rand_int__` stands for twelve digits, drawn anew each
 * time it appears, and the keys are there before (`fill.ts`).
 */
export const RANDOM_DIGITS = '__rand_int__';
const MANY = 10;
/** Elements of each list. */
export const LIST_LENGTH = 100;
/** Values of a test take at most as many bytes on a server, so that large ones need not be many. */
const DATA_BYTES_MAX = 64 * 1024 * 1024;
const LISTS_MAX = 1_000;

export const KEY = `key:${RANDOM_DIGITS}`;
export const LIST = `list:${RANDOM_DIGITS}`;

type Words = readonly string[];

const get: Words = ['GET', KEY];
const set = (value: string): Words => ['SET', KEY, value];

/** The commands of a test, each of which comes equally often. */
const COMMANDS = {
  get: () => [get],
  set: (value) => [set(value)],
  /** Keys at random lie on all servers. */
  mget: () => [['MGET', ...Array<string>(MANY).fill(KEY)]],
  mset: (value) => [['MSET', ...Array<string[]>(MANY).fill([KEY, value]).flat()]],
  lrange: () => [['LRANGE', LIST, '0', `${LIST_LENGTH - 1}`]],
  /** 80 % GET, 20 % SET. */
  mix: (value) => [get, get, get, get, set(value)],
} satisfies Readonly<Record<string, (value: string) => readonly Words[]>>;

export type TestName = keyof typeof COMMANDS;

export const TEST_NAMES = Object.keys(COMMANDS) as readonly TestName[];

/** The commands of a test, with values of `size` bytes. */
export function commandsOf(test: TestName, size: number): readonly Words[] {
  return COMMANDS[test]('x'.repeat(size));
}

/** How many keys, or lists, `__rand_int__` is drawn from when `keys` are asked for. */
export function keyCount(test: TestName, keys: number, size: number): number {
  if (test === 'lrange')
    return Math.max(1, Math.min(keys, LISTS_MAX, Math.floor(DATA_BYTES_MAX / (size * LIST_LENGTH))));
  return Math.max(1, Math.min(keys, Math.floor(DATA_BYTES_MAX / size)));
}
