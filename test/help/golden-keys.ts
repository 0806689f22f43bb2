/** The keys of test/golden/twemproxy: the same for ever. */

/** 4,096 keys of a few kinds, among them braces that are tags and braces that are not, and bytes from 0x80 on. */
export function goldenKeys(): Buffer[] {
  return Array.from({ length: 4096 }, (_, i) => {
    switch (i % 4) {
      case 0:
        return Buffer.from(`key:${i}`);
      case 1:
        return Buffer.from(`user:{${i >> 4}}:${i}`);
      case 2:
        return Buffer.from(`été:${i}{}{${i}`);
      default:
        return Buffer.from(`${'long '.repeat(i % 29)}${i}`);
    }
  });
}
