/** What a worker answers, for its own sessions, to what is asked of all workers: at once, or when a node has answered. */

import type { UsersSnapshot } from '../base/client-rules.js';
import type { Counts } from '../base/metrics.js';
import type { Answer, ChangedUsers, ClientFilter, Question } from '../messages.js';
import { ANY_CLIENT, matcher } from './client-filter.js';
import { clientLine } from './client-line.js';
import { tellRedirected } from './invalidation.js';
import type { Pauses } from './pauses.js';
import type { Redirections } from './redirections.js';
import type { RefusalLog } from './refusal-log.js';
import type { ScriptCalls } from './script-calls.js';
import { type Session, SessionError } from './session.js';

export interface AnswerContext {
  /** All of this worker, by number. */
  sessions: ReadonlyMap<number, Session>;
  /** By the transport's clock. */
  nowMs: number;
  counts: Counts;
  pauses: Pauses;
  refusals: RefusalLog;
  scripts: ScriptCalls;
  redirections: Redirections;
  /** See Listener.goByUsers. */
  goByUsers: (users: UsersSnapshot, asker: number) => void;
  /** Whether somebody monitors may have changed. */
  lookForMonitors: () => void;
}

/** Calls `done` once. `isOwn`: this worker asks all. */
export function answer(
  question: Question,
  isOwn: boolean,
  context: AnswerContext,
  done: (answer: Answer) => void,
): void {
  const { kind } = question;
  switch (kind) {
    case 'list-clients': {
      const sessions = meant(question, context);
      const ids = Float64Array.from(sessions, ({ id }) => id);
      done({ kind, ids, lines: sessions.map((session) => clientLine(session, context.nowMs)) });
      return;
    }
    case 'kill-clients': {
      const sessions = meant(question, context);
      for (const session of sessions) session.cutOff(new SessionError('CLIENT KILL'));
      context.counts.sessionsKilled += sessions.length;
      done({ kind, killed: sessions.length });
      return;
    }
    case 'pause-clients':
      context.pauses.start(question);
      done({ kind });
      return;
    case 'unpause-clients':
      context.pauses.end(question.service);
      done({ kind });
      return;
    case 'unblock-client': {
      const { service, id, isError } = question;
      const [session] = meant({ service, filter: { ...ANY_CLIENT, ids: [id] } }, context);
      const blocked = session?.blocked ?? null;
      if (blocked === null) done({ kind, isUnblocked: false });
      else blocked.unblock(isError, (isUnblocked) => done({ kind, isUnblocked }));
      return;
    }
    case 'change-users': {
      const { users, count, error } = question.changed as ChangedUsers;
      context.goByUsers(users, question.asker);
      done({ kind, count, error });
      return;
    }
    case 'list-refusals':
      done({ kind, refusals: context.refusals.all() });
      return;
    case 'look-for-monitors':
      context.lookForMonitors();
      done({ kind });
      return;
    case 'forget-refusals':
      context.refusals.clear();
      done({ kind });
      return;
    case 'learn-scripts':
      // What it has told the others it has gone by before, and may have gone on from there.
      if (!isOwn) context.scripts.hear(question.service, question.sources);
      done({ kind });
      return;
    case 'forget-scripts':
      context.scripts.forget(question.service);
      done({ kind });
      return;
    case 'find-scripts':
      // Who asks knows none of them.
      done({ kind, scripts: isOwn ? [] : context.scripts.show(question.scripts) });
      return;
    case 'expect-redirected': {
      const session = target(question, context);
      if (session !== null) session.redirectionsBegun++;
      done({ kind, isThere: session !== null });
      return;
    }
    case 'settle-redirected':
      context.redirections.settle(question.id, (isThere) => done({ kind, isThere }));
      return;
    case 'invalidate': {
      const session = target(question, context);
      const isThere = session !== null;
      if (isThere) for (const keys of question.messages) tellRedirected(session, keys);
      done({ kind, isThere });
      return;
    }
  }
}

/** The client that others have their messages sent to, if it is of this worker. */
function target({ service, id }: { service: number; id: number }, { sessions }: AnswerContext): Session | null {
  const session = sessions.get(id);
  return session?.service === service && !session.isLeaving ? session : null;
}

function meant({ service, filter }: { service: number; filter: ClientFilter }, { sessions }: AnswerContext): Session[] {
  const isMeant = matcher(filter);
  return [...sessions.values()].filter(
    (session) => session.service === service && !session.isCutOff && isMeant(session),
  );
}
