/**
 * A session as CLIENT LIST and CLIENT INFO show it: the fields of Redis 7.0 in their order. What the proxy does not have reads as on
 * a Redis where it is not used: `fd=-1`, `rbs=0` (no reply buffer of fixed size).
 */
import type { ClientType } from '../messages.js';
import type { Session } from './session.js';

/** The line of `session`, without its end. `nowMs` is the transport's clock. */
export function clientLine(session: Session, nowMs: number): string {
  const { connection, transaction } = session;
  const { output } = connection;
  const fields: readonly (readonly [name: string, value: string | number])[] = [
    ['id', session.id],
    ['addr', peerAddress(session)],
    ['laddr', ownAddress(session)],
    ['fd', -1],
    ['name', session.name],
    ['age', Math.floor((nowMs - session.createdMs) / 1000)],
    ['idle', Math.floor((nowMs - session.lastBytesMs) / 1000)],
    ['flags', flags(session)],
    ['db', session.database],
    ['sub', 0],
    ['psub', 0],
    ['ssub', 0],
    ['multi', transaction?.commandCount ?? -1],
    ['qbuf', connection.unreadBytes],
    ['qbuf-free', Math.max(0, connection.unreadHeldBytes - connection.unreadBytes)],
    ['argv-mem', session.requestBytes],
    ['multi-mem', transaction?.heldBytes ?? 0],
    ['rbs', 0],
    ['rbp', 0],
    ['obl', output.unsentBytes],
    ['oll', 0],
    ['omem', output.heldBytes],
    ['tot-mem', session.bufferedBytes],
    ['events', output.unsentBytes > 0 ? 'rw' : 'r'],
    ['cmd', session.lastCommand === '' ? 'NULL' : session.lastCommand],
    ['user', session.user],
    ['redir', -1],
    ['resp', session.protocol],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(' ');
}

export function clientType(_session: Session): ClientType {
  return 'normal';
}

/** Where the client comes from, as Redis shows it (networking.c: genClientAddrString): that of a unix socket is its path, with port 0. */
export function peerAddress({ connection }: Session): string {
  return shown(connection.remoteAddress());
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
  let letters = '';
  if (session.transaction !== null) letters += 'x';
  if (session.blocked !== null) letters += 'b';
  if (session.watch?.isBroken === true) letters += 'd';
  if (session.endingSinceMs >= 0) letters += 'c';
  if (isUnix(session.connection.remoteAddress())) letters += 'U';
  if (session.isProtected) letters += 'e';
  return letters === '' ? 'N' : letters;
}
