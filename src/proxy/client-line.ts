/**
 * A session as CLIENT LIST and CLIENT INFO show it: the fields of Redis 7.0 in their order. What the proxy does not have reads as on
 * a Redis where it is not used: `fd=-1`, `rbs=0` (no reply buffer of fixed size).
 */
import type { ClientType } from '../messages.js';
import { SUBSCRIPTION_KINDS } from '../resp/message-frame.js';
import type { Session } from './session.js';
import { shownRedirect } from './tracking-info.js';

/** The line of `session`, without its end. `nowMs` is the transport's clock. In one piece: there may be thousands of them in a turn. */
export function clientLine(session: Session, nowMs: number): string {
  const { id, name, connection, transaction, database, requestBytes, bufferedBytes, lastCommand, user } = session;
  const { output, unreadBytes, unreadHeldBytes } = connection;
  const age = Math.floor((nowMs - session.createdMs) / 1000);
  const idle = Math.floor((nowMs - session.activity.lastBytesMs) / 1000);
  const [sub, psub, ssub] = SUBSCRIPTION_KINDS.map((kind) => session.subscriptions?.count(kind) ?? 0);
  const multi = transaction?.commandCount ?? -1;
  const [unsent, free] = [output.unsentBytes, Math.max(0, unreadHeldBytes - unreadBytes)];
  return (
    `id=${id} addr=${peerAddress(session)} laddr=${ownAddress(session)} fd=-1 name=${name} age=${age} idle=${idle} ` +
    `flags=${flags(session)} db=${database} sub=${sub} psub=${psub} ssub=${ssub} multi=${multi} qbuf=${unreadBytes} qbuf-free=${free} ` +
    `argv-mem=${requestBytes} multi-mem=${transaction?.heldBytes ?? 0} rbs=0 rbp=0 ` +
    `obl=${unsent} oll=0 omem=${output.heldBytes} tot-mem=${bufferedBytes} events=${unsent > 0 ? 'rw' : 'r'} ` +
    `cmd=${lastCommand === '' ? 'NULL' : lastCommand} user=${user.name} redir=${shownRedirect(session)} resp=${session.protocol}`
  );
}

export function clientType(session: Session): ClientType {
  return session.isSubscribed ? 'pubsub' : 'normal';
}

/** Where the client comes from, as Redis shows it (networking.c: genClientAddrString): that of a unix socket is its path, with port 0. */
export function peerAddress({ connection }: Session): string {
  return shown(connection.remoteAddress());
}

/** The same as MONITOR shows it: a unix socket is that of the proxy. */
export function monitorAddress({ connection }: Session): string {
  return connection.remoteAddress();
}

/** Where it came in. */
export function ownAddress({ connection }: Session): string {
  return shown(connection.localAddress());
}

function shown(address: string): string {
  return isUnix(address) ? `${address.slice('unix:'.length)}:0` : address;
}

function isUnix(address: string): boolean {
  return address.startsWith('unix:');
}

/** One letter a state, in Redis's order; N where there is none. */
function flags(session: Session): string {
  let letters = session.monitoring !== null ? 'O' : '';
  if (session.isSubscribed) letters += 'P';
  if (session.transaction !== null) letters += 'x';
  if (session.blocked !== null) letters += 'b';
  if (session.tracking !== null) letters += 't';
  if (session.tracking?.isBroken === true) letters += 'R';
  if (session.tracking?.mode.isBroadcast === true) letters += 'B';
  if (session.watch?.isBroken === true) letters += 'd';
  if (session.endingSinceMs >= 0) letters += 'c';
  if (isUnix(session.connection.remoteAddress())) letters += 'U';
  if (session.isProtected) letters += 'e';
  return letters === '' ? 'N' : letters;
}
