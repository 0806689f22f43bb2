/** The ways in which the suite is run: its own mode, and in front of how many shards the proxy stands. */

/** As the suite calls them: with `--cluster-mode`, or without. */
export type Mode = 'cluster' | 'plain';

export interface RunKind {
  /** As files and tables have it. */
  name: string;
  mode: Mode;
  /** 0: one Redis, without a proxy. */
  shards: number;
}

export const MODES: readonly Mode[] = ['cluster', 'plain'];

/** Through the proxy: c3, p3, c1, p1. */
export const RUN_KINDS: readonly RunKind[] = [3, 1].flatMap((shards) => {
  return MODES.map((mode) => runKind(mode, shards));
});

export function runKind(mode: Mode, shards: number): RunKind {
  return { name: `${modeLetter(mode)}${shards}`, mode, shards };
}

export function modeLetter(mode: Mode): string {
  return mode.charAt(0);
}
