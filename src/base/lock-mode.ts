/** By how many, and by whom together, a lock may be held. */
export type LockMode =
  | { readonly kind: 'exclusive' }
  /** By as many as want it, while nobody has it in another mode. */
  | { readonly kind: 'shared' }
  /** By so many, who all say the same number. */
  | { readonly kind: 'limit'; readonly max: number };

/** So many hold a lock together at the most that the coordination store keeps: an entry of it has to stay below what a store takes. */
export const STORE_HOLDERS_MAX = 256;
