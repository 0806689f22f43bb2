/** What is asked of one node in one piece: the bytes, and what the replies to them mean. */
export interface NodeRequest<A> {
  /** What to send: nothing else may come in between. */
  readonly frames: Uint8Array;
  /** How many replies come back, pushes aside. */
  readonly replyCount: number;
  /** Of its replies, whole frames in their order, the answer. What it holds are views of them. */
  decode(replies: readonly Uint8Array[]): A;
}
