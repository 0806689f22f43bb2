/**
 * The register of a lock's fences: the number of the last acquisition that was begun, who asked for it, and its token, by which the
 * register is known to be about who holds the lock now.
 *
 *   217384461202 127.0.0.1:50412 3f9c…
 *
 * Each acquisition makes its own of the one that it finds, and of the time: so fences grow as acquisitions follow each other, and most
 * numbers are left out.
 */
export interface FenceRegister {
  /** From 1 on, below 1e12 and as much more as acquisitions have followed each other faster than milliseconds. */
  readonly fence: number;
  /** The client, by its name or address; no blanks. */
  readonly client: string;
  /** A character a byte. */
  readonly token: string;
}

const REGISTER = /^(\d+) (\S+) (.*)$/s;

export function formatRegister({ fence, client, token }: FenceRegister): string {
  return `${fence} ${client} ${token}`;
}

/** Null for '', which is that of a lock that nobody has had. Throws for what was not written by this program. */
export function parseRegister(text: string): FenceRegister | null {
  if (text === '') return null;
  const match = REGISTER.exec(text);
  if (match === null) throw new Error(`the register of fences holds ${JSON.stringify(text.slice(0, 100))}`);
  const [, fence, client, token] = match as unknown as [string, string, string, string];
  return { fence: Number(fence), client, token };
}
