/** Which clients CLIENT LIST and CLIENT KILL are about: their arguments, with Redis's errors, and whether a session is meant. */
import type { ClientFilter, ClientType } from '../messages.js';
import { parseInt64 } from '../resp/int64.js';
import { errorReply } from '../resp/reply.js';
import { clientType, ownAddress, peerAddress } from './client-line.js';
import type { Session } from './session.js';

/** The arguments of a command, each with one character a byte; those of `CLIENT LIST` begin at index 2. */
export interface Arguments {
  readonly count: number;
  text(index: number): string;
}

export interface KillOrder {
  filter: ClientFilter;
  /** Whether the client that says it stays. */
  skipsMe: boolean;
  /** `CLIENT KILL address`, which answers whether there is one. */
  isOldForm: boolean;
}

const SYNTAX_ERROR = errorReply('ERR syntax error');
const INVALID_ID = errorReply('ERR Invalid client ID');
const ID_NOT_POSITIVE = errorReply('ERR client-id should be greater than 0');

export const ANY_CLIENT: ClientFilter = {
  ids: null,
  type: null,
  address: null,
  ownAddress: null,
  user: null,
  exceptId: null,
};

const TYPES: Readonly<Record<string, ClientType>> = {
  normal: 'normal',
  slave: 'replica',
  replica: 'replica',
  pubsub: 'pubsub',
  master: 'master',
};

/** CLIENT LIST [TYPE type] [ID id …]. Or the error. */
export function parseList(args: Arguments): ClientFilter | Uint8Array {
  if (args.count === 2) return ANY_CLIENT;
  const option = args.text(2).toLowerCase();
  if (option === 'type' && args.count === 4) {
    const type = typeNamed(args.text(3));
    return type instanceof Uint8Array ? type : { ...ANY_CLIENT, type };
  }
  if (option !== 'id' || args.count === 3) return SYNTAX_ERROR;
  const ids: number[] = [];
  for (let index = 3; index < args.count; index++) {
    const id = parseInt64(args.text(index));
    if (id === null) return INVALID_ID;
    ids.push(Number(id));
  }
  return { ...ANY_CLIENT, ids };
}

/** CLIENT KILL address, or CLIENT KILL option value …, where the last of the same option counts. Or the error. */
export function parseKill(args: Arguments, isUser: (name: string) => boolean): KillOrder | Uint8Array {
  if (args.count === 3) {
    return { filter: { ...ANY_CLIENT, address: args.text(2) }, skipsMe: false, isOldForm: true };
  }
  const filter: ClientFilter = { ...ANY_CLIENT };
  let skipsMe = true;
  for (let index = 2; index < args.count; index += 2) {
    if (index + 1 === args.count) return SYNTAX_ERROR;
    const value = args.text(index + 1);
    switch (args.text(index).toLowerCase()) {
      case 'id': {
        const id = parseInt64(value);
        if (id === null || id < 1n) return ID_NOT_POSITIVE;
        filter.ids = [Number(id)];
        break;
      }
      case 'type': {
        const type = typeNamed(value);
        if (type instanceof Uint8Array) return type;
        filter.type = type;
        break;
      }
      case 'addr':
        filter.address = value;
        break;
      case 'laddr':
        filter.ownAddress = value;
        break;
      case 'user':
        if (!isUser(value)) return errorReply(`ERR No such user '${value}'`);
        filter.user = value;
        break;
      case 'skipme': {
        const choice = value.toLowerCase();
        if (choice !== 'yes' && choice !== 'no') return SYNTAX_ERROR;
        skipsMe = choice === 'yes';
        break;
      }
      default:
        return SYNTAX_ERROR;
    }
  }
  return { filter, skipsMe, isOldForm: false };
}

/** Whether a session is meant. */
export function matcher(filter: ClientFilter): (session: Session) => boolean {
  const { type, address, user, exceptId } = filter;
  // There may be as many as a command has arguments.
  const ids = filter.ids === null ? null : new Set(filter.ids);
  return (session) =>
    session.id !== exceptId &&
    (ids === null || ids.has(session.id)) &&
    (type === null || type === clientType(session)) &&
    (user === null || user === session.user.name) &&
    (address === null || address === peerAddress(session)) &&
    (filter.ownAddress === null || filter.ownAddress === ownAddress(session));
}

function typeNamed(name: string): ClientType | Uint8Array {
  const lower = name.toLowerCase();
  const type = Object.hasOwn(TYPES, lower) ? TYPES[lower] : undefined;
  return type ?? errorReply(`ERR Unknown client type '${name}'`);
}
