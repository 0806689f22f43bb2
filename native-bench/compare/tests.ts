/**
 * What is asked for in a test. The words are those of redis-benchmark: `__rand_int__` stands for twelve digits, drawn anew each
 * time it appears, and the keys are there before (`fill.ts`).
 */
const MANY = 10;
/** Elements of each list. */
export const LIST_LENGTH = 100;
/** Values of a test take at most as many bytes on a server, so that large ones need not be many. */
const DATA_BYTES_MAX = 64 * 1024 * 1024;
const LISTS_MAX = 1_000;

export const KEY = 'key:__rand_int__';
export const LIST = 'list:__rand_int__';

type Words = (value: string) => readonly string[];

const COMMANDS = {
  get: () => ['GET', KEY],
  set: (value) => ['SET', KEY, value],
  /** Keys at random lie on all servers. */
  mget: () => ['MGET', ...Array<string>(MANY).fill(KEY)],
  mset: (value) => ['MSET', ...Array<string[]>(MANY).fill([KEY, value]).flat()],
  lrange: () => ['LRANGE', LIST, '0', `${LIST_LENGTH - 1}`],
} satisfies Readonly<Record<string, Words>>;

export type TestName = keyof typeof COMMANDS;

export const TEST_NAMES = Object.keys(COMMANDS) as readonly TestName[];

/** The command of a test, with values of `size` bytes. */
export function wordsOf(test: TestName, size: number): readonly string[] {
  return COMMANDS[test]('x'.repeat(size));
}

/** How many keys, or lists, `__rand_int__` is drawn from when `keys` are asked for. */
export function keyCount(test: TestName, keys: number, size: number): number {
  if (test === 'lrange')
    return Math.max(1, Math.min(keys, LISTS_MAX, Math.floor(DATA_BYTES_MAX / (size * LIST_LENGTH))));
  return Math.max(1, Math.min(keys, Math.floor(DATA_BYTES_MAX / size)));
}
