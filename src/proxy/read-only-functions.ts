/**
 * Which functions say of themselves that they do not write (`no-writes`), as the nodes have them: CLIENT PAUSE WRITE does not hold these. They are
 * asked for while somebody calls one in such a pause.
 */
import type { BackendPool } from '../backend/pool.js';
import { encodeCommand, isError } from '../resp/reply.js';
import { functionsIn } from './function-list.js';
import { type SurveyContext, survey } from './survey.js';

export interface ReadOnlyFunctionsContext extends SurveyContext {
  pool: BackendPool;
  /** Of that service more is known than before. */
  onKnown: (service: number) => void;
}

interface Known {
  names: ReadonlySet<string>;
  sinceMs: number;
}

/** Milliseconds for which what a node has said holds. */
const KNOWN_MS = 1_000;
const LIST = encodeCommand(['FUNCTION', 'LIST']);
const NONE: ReadonlySet<string> = new Set();

export class ReadOnlyFunctions {
  private readonly context: ReadOnlyFunctionsContext;
  /** By service. */
  private readonly known = new Map<number, Known>();
  /** Services whose nodes are being asked. */
  private readonly asked = new Set<number>();

  constructor(context: ReadOnlyFunctionsContext) {
    this.context = context;
  }

  /** Whether that function of the service is one, as far as is known; else `onKnown` will say when there is more to know. All nodes have the same. */
  has(service: number, node: number, name: string): boolean {
    const known = this.known.get(service);
    if (known !== undefined && this.context.now() - known.sinceMs < KNOWN_MS) return known.names.has(name);
    this.known.delete(service);
    this.ask(service, node);
    return false;
  }

  private ask(service: number, node: number): void {
    if (this.asked.has(service)) return;
    this.asked.add(service);
    const { pool, now, onKnown } = this.context;
    survey(this.context, [pool.at(node).urgent], LIST, ([reply]) => {
      this.asked.delete(service);
      const frame = reply as Uint8Array;
      // A node that does not say keeps them held.
      const names = isError(frame, 0) ? NONE : readOnlyOf(frame);
      this.known.set(service, { names, sinceMs: now() });
      if (names.size > 0) onKnown(service);
    });
  }
}

function readOnlyOf(frame: Uint8Array): ReadonlySet<string> {
  return new Set(functionsIn(frame).flatMap(({ name, isReadOnly }) => (isReadOnly ? [name] : [])));
}
