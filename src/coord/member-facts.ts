/** What a member of a fleet shows of itself: JSON in its lease. What a newer version shows besides is left alone. */
import { z } from 'zod';

const FACTS = z.object({
  /** Of the software. */
  version: z.string(),
  /** When the process began to serve, by its own wall clock. */
  sinceMs: z.number(),
  /** That all its workers go by; 0: none yet. */
  topologyVersion: z.int().nonnegative(),
  /** Of that topology (control/shared-topology.ts). */
  origin: z.string().optional(),
  /** Why it cannot go on to the newest one. */
  reason: z.string().nullable(),
});

export type MemberFacts = Readonly<z.infer<typeof FACTS>>;

export interface Member extends MemberFacts {
  readonly name: string;
  /** Which of the processes that ever had this name. */
  readonly holder: string;
}

export function encodeFacts({ version, sinceMs, topologyVersion, origin, reason }: MemberFacts): string {
  return JSON.stringify({ version, sinceMs, topologyVersion, origin, reason });
}

/** What cannot be read is that of a member that has acknowledged nothing: it is there, and is waited for. */
export function decodeFacts(text: string): MemberFacts {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return unreadable((error as Error).message);
  }
  const { data, error } = FACTS.safeParse(document);
  return data ?? unreadable(z.prettifyError(error).replaceAll('\n', ' '));
}

function unreadable(why: string): MemberFacts {
  return { version: 'unknown', sinceMs: 0, topologyVersion: 0, reason: `what it shows cannot be read: ${why}` };
}
