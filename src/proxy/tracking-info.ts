/** CLIENT GETREDIR and CLIENT TRACKINGINFO. */
import { arrayHeader, bulkReply, integerReply, mapHeader, setHeader } from '../resp/reply.js';
import type { Session } from './session.js';

/** The reply to CLIENT GETREDIR. */
export function redirectReply(session: Session): Uint8Array {
  return integerReply(shownRedirect(session));
}

/** Whom the session's messages go to: -1 it does not track, 0 itself. */
export function shownRedirect({ tracking }: Session): number {
  return tracking === null ? -1 : tracking.redirect;
}

/** The reply to CLIENT TRACKINGINFO. */
export function trackingInfo(session: Session): Uint8Array {
  const { tracking, protocol } = session;
  const flags = [tracking === null ? 'off' : 'on'];
  if (tracking !== null) {
    const { isBroadcast, isOptIn, isOptOut, isNoLoop } = tracking.mode;
    if (isBroadcast) flags.push('bcast');
    if (isOptIn) flags.push('optin');
    if (isOptIn && tracking.isCaching) flags.push('caching-yes');
    if (isOptOut) flags.push('optout');
    if (isOptOut && tracking.isCaching) flags.push('caching-no');
    if (isNoLoop) flags.push('noloop');
    if (tracking.isBroken) flags.push('broken_redirect');
  }
  const prefixes = [...(tracking?.mode.prefixes ?? [])].sort(Buffer.compare);
  return Buffer.concat([
    mapHeader(3, protocol),
    bulkReply('flags'),
    setHeader(flags.length, protocol),
    ...flags.map(bulkReply),
    bulkReply('redirect'),
    integerReply(shownRedirect(session)),
    bulkReply('prefixes'),
    arrayHeader(prefixes.length),
    ...prefixes.map(bulkReply),
  ]);
}
