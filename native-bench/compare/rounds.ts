/** What is measured in several rounds, in each in another order, and told as medians. */

/** Each target in each round, which is counted from 0; each round begins with another one. */
export function* rounds<T>(count: number, targets: readonly T[]): Generator<[number, T]> {
  for (let round = 0; round < count; round++) {
    for (let turn = 0; turn < targets.length; turn++) yield [round, targets[(round + turn) % targets.length] as T];
  }
}

export function note<T>(all: Map<string, T[]>, name: string, value: T): void {
  all.set(name, [...(all.get(name) ?? []), value]);
}

/** NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}
