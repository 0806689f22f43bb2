/** What became of a question that a session had to wait for: the command is read again then, and finds this. */
export interface Verdict {
  /** Of what. */
  readonly of: string;
  /** REPLY_OK, or the error why not. */
  readonly reply: Uint8Array;
}
