/** The few commands that the tests of this folder use, as a Redis carries them out: the dumb twin of one server. */
import { bulk } from '../help/plane.js';

export class ModelRedis {
  readonly data = new Map<string, string>();

  /** The reply's frame. Texts are one character a byte. */
  execute(words: readonly string[], protocol: 2 | 3 = 2): string {
    const [name, ...args] = words as [string, ...string[]];
    const { data } = this;
    const value = (key: string) => {
      const text = data.get(key);
      if (text !== undefined) return bulk(text);
      return protocol === 3 ? '_\r\n' : '$-1\r\n';
    };
    const count = (test: (key: string) => boolean) => `:${args.filter(test).length}\r\n`;
    switch (name.toUpperCase()) {
      case 'GET':
        return value(args[0] as string);
      case 'MGET':
        return `*${args.length}\r\n${args.map(value).join('')}`;
      case 'SET':
        data.set(args[0] as string, args[1] as string);
        return '+OK\r\n';
      case 'MSET':
        for (let index = 0; index < args.length; index += 2) data.set(args[index] as string, args[index + 1] as string);
        return '+OK\r\n';
      case 'APPEND': {
        const text = (data.get(args[0] as string) ?? '') + args[1];
        data.set(args[0] as string, text);
        return `:${text.length}\r\n`;
      }
      case 'DEL':
      case 'UNLINK':
        return count((key) => data.delete(key));
      case 'EXISTS':
      case 'TOUCH':
        return count((key) => data.has(key));
      case 'DBSIZE':
        return `:${data.size}\r\n`;
      case 'FLUSHALL':
        data.clear();
        return '+OK\r\n';
      case 'INFO':
        return bulk(`# Keyspace\r\n${data.size === 0 ? '' : `db0:keys=${data.size},expires=0,avg_ttl=0\r\n`}`);
      case 'PING':
        return '+PONG\r\n';
      default:
        throw new Error(`the model does not know ${name}`);
    }
  }
}
