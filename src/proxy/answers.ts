/** What a worker answers, for its own sessions, to what is asked of all workers. */
import type { Counts } from '../base/metrics.js';
import type { Answer, ClientFilter, Question } from '../messages.js';
import { matcher } from './client-filter.js';
import { clientLine } from './client-line.js';
import type { Pauses } from './pauses.js';
import { type Session, SessionError } from './session.js';

export interface AnswerContext {
  /** All of this worker. */
  sessions: Iterable<Session>;
  /** By the transport's clock. */
  nowMs: number;
  counts: Counts;
  pauses: Pauses;
}

export function answer(question: Question, context: AnswerContext): Answer {
  const { kind } = question;
  switch (kind) {
    case 'list-clients': {
      const sessions = meant(question, context);
      return {
        kind,
        clients: sessions.map((session) => ({ id: session.id, line: clientLine(session, context.nowMs) })),
      };
    }
    case 'kill-clients': {
      const sessions = meant(question, context);
      for (const session of sessions) session.cutOff(new SessionError('CLIENT KILL'));
      context.counts.sessionsKilled += sessions.length;
      return { kind, killed: sessions.length };
    }
    case 'pause-clients':
      context.pauses.start(question);
      return { kind };
    case 'unpause-clients':
      context.pauses.end(question.service);
      return { kind };
  }
}

function meant({ service, filter }: { service: number; filter: ClientFilter }, { sessions }: AnswerContext): Session[] {
  const isMeant = matcher(filter);
  return [...sessions].filter((session) => session.service === service && !session.isCutOff && isMeant(session));
}
