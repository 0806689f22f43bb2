/** Names of pools and nodes as names of files: as in an address, and whatever they are no path. `decodeURIComponent` reads them. */

/** What file systems take. */
export const FILE_NAME_MAX = 255;

export function fileNameOf(name: string): string {
  // They may be `.` and `..`.
  return encodeURIComponent(name).replace(/^\.+$/, (dots) => '%2E'.repeat(dots.length));
}
