/** Commands on one replicated key as Redis takes them, and what comes back: how `step` and `operation` look on real servers. */

/** Its words, the name first. */
export type Command = readonly Uint8Array[];

export interface Commands {
  readonly list: readonly Command[];
  /** What the replies are to be in: the client's protocol. */
  readonly protocol: 2 | 3;
  /** One node alone carries them out, and the others are sent the whole value: it may not be too large. */
  readonly isAlone?: true;
  /** They make so little grow that a node without memory may carry them out. */
  readonly isSmall?: true;
}

/** One whole frame for each command, byte for byte as Redis itself would answer in that protocol; errors, too. */
export type Replies = readonly Uint8Array[];

/** As DUMP makes it. */
export type Value = Uint8Array;

/** Of an identity: the state stays as it is. */
export const NO_COMMANDS: Commands = { list: [], protocol: 3 };
