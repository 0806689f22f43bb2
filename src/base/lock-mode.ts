/** By how many, and by whom together, a lock may be held. */
export type LockMode =
  | { readonly kind: 'exclusive' }
  /** By as many as want it, while nobody has it in another mode. */
  | { readonly kind: 'shared' }
  /** By so many, who all say the same number. */
  | { readonly kind: 'limit'; readonly max: number };
