/** Redis's string2ll: a 64-bit integer without plus sign, blanks or leading zeros; null when it is none. */
export function parseInt64(text: string): bigint | null {
  if (!/^(0|-?[1-9]\d{0,18})$/.test(text)) return null;
  const value = BigInt(text);
  return BigInt.asIntN(64, value) === value ? value : null;
}
