/** What some of Redis's commands do to one key, as an engine for the model of a node: strings and lists, byte for byte. */
import type { Commands, Replies } from '../../src/replica/commands.js';
import type { Engine, Stored } from './acceptor.js';

/** A string, one character a byte, or a list of them. */
export type SmallValue = string | readonly string[];

type State = Stored<SmallValue> | null;

const WRONG_TYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n';
const NOT_INTEGER = '-ERR value is not an integer or out of range\r\n';
const INTEGER_MAX = 2n ** 63n - 1n;

/** SET [PXAT], APPEND, INCR, GET, RPUSH, LPOP [count], LRANGE 0 -1, DEL, PEXPIREAT, PERSIST, PEXPIRETIME, BITFIELD_RO GET u8 0. */
export const SMALL_REDIS: Engine<Commands, Replies, SmallValue> = {
  apply({ list, protocol }, stored, nowMs) {
    let state: State = stored;
    const replies = list.map((words) => {
      const found = state !== null && state.expireAt !== 0 && state.expireAt < nowMs ? null : state;
      const [after, reply] = carryOut(words.map(latin1), found, protocol, nowMs);
      state = after;
      return Buffer.from(reply, 'latin1');
    });
    return { stored: state, replies };
  },
  read(commands, stored, nowMs) {
    return this.apply(commands, stored, nowMs).replies;
  },
};

function carryOut(words: readonly string[], state: State, protocol: 2 | 3, nowMs: number): [State, string] {
  const [name, , first = '', , time] = words;
  const value = state?.value ?? null;
  const keep = (next: SmallValue): State => ({ value: next, expireAt: state?.expireAt ?? 0 });
  switch (name) {
    case 'SET':
      return [{ value: first, expireAt: Number(time ?? 0) }, '+OK\r\n'];
    case 'DEL':
      return [null, `:${state === null ? 0 : 1}\r\n`];
    case 'PEXPIREAT':
      if (state === null) return [null, ':0\r\n'];
      return [Number(first) <= nowMs ? null : { ...state, expireAt: Number(first) }, ':1\r\n'];
    case 'PERSIST':
      if (state === null || state.expireAt === 0) return [state, ':0\r\n'];
      return [{ ...state, expireAt: 0 }, ':1\r\n'];
    case 'PEXPIRETIME':
      return [state, `:${state === null ? -2 : state.expireAt || -1}\r\n`];
    case 'RPUSH':
    case 'LPOP':
    case 'LRANGE': {
      if (typeof value === 'string') return [state, WRONG_TYPE];
      const items = value ?? [];
      if (name === 'LRANGE') return [state, `*${items.length}\r\n${items.map(bulk).join('')}`];
      if (name === 'RPUSH') return [keep([...items, first]), `:${items.length + 1}\r\n`];
      const left = items.slice(Number(words[2] ?? 1));
      const popped = items.slice(0, Number(words[2] ?? 1));
      const after = left.length === 0 ? null : keep(left);
      if (words.length === 2) return [after, popped[0] === undefined ? nullOf(protocol, '$-1') : bulk(popped[0])];
      return [after, state === null ? nullOf(protocol, '*-1') : `*${popped.length}\r\n${popped.map(bulk).join('')}`];
    }
    default: {
      if (value !== null && typeof value !== 'string') return [state, WRONG_TYPE];
      const text = value ?? '';
      if (name === 'GET') return [state, value === null ? nullOf(protocol, '$-1') : bulk(text)];
      if (name === 'APPEND') return [keep(text + first), `:${text.length + first.length}\r\n`];
      if (name === 'BITFIELD_RO') return [state, `*1\r\n:${text === '' ? 0 : text.charCodeAt(0)}\r\n`];
      if (name !== 'INCR') throw new Error(`${name} is not among the commands`);
      if (value !== null && !/^(0|-?[1-9]\d{0,18})$/.test(text)) return [state, NOT_INTEGER];
      const next = BigInt(text) + 1n;
      if (next > INTEGER_MAX) return [state, '-ERR increment or decrement would overflow\r\n'];
      return [keep(`${next}`), `:${next}\r\n`];
    }
  }
}

function nullOf(protocol: 2 | 3, inResp2: string): string {
  return protocol === 3 ? '_\r\n' : `${inResp2}\r\n`;
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function latin1(word: Uint8Array): string {
  return Buffer.from(word).toString('latin1');
}
