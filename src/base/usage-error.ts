/** A command line that cannot be meant: the message is all there is to say, and no stack belongs to it. */
export class UsageError extends Error {}
