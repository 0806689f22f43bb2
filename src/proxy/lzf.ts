/** LZF, in which Redis compresses strings where it dumps them (its lzf_d.c, by Marc Lehmann). */

/** Fills `target`, which is as long as what was compressed. */
export function decompressLzf(source: Uint8Array, target: Uint8Array): void {
  let to = 0;
  for (let at = 0; at < source.length; ) {
    const control = source[at++] as number;
    if (control < 32) {
      // That many bytes and one more, as they are.
      for (let left = control; left >= 0; left--) target[to++] = source[at++] as number;
      continue;
    }
    // Bytes from further up, which may reach into those that are written by it.
    let length = control >> 5;
    if (length === 7) length += source[at++] as number;
    let from = to - ((control & 0x1f) << 8) - (source[at++] as number) - 1;
    for (let left = length + 2; left > 0; left--) target[to++] = target[from++] as number;
  }
}
