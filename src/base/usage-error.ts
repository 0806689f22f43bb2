/** A command line that cannot be meant: the message is all there is to say, and no stack belongs to it. */
export class UsageError extends Error {
  /** The command that it is a call of, where that is known. */
  readonly command: string | null;

  constructor(message: string, command: string | null = null) {
    super(message);
    this.command = command;
  }
}
