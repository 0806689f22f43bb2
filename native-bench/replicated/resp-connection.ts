import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { BenchmarkError } from '../compare/children.js';
import { writeLater } from './write-later.js';

const HOST = '127.0.0.1';

interface Question {
  resolve: (answer: string) => void;
  reject: (error: Error) => void;
}

/** RESP2, with no more of it than the loads ask for: answers come in the order of the questions, each as its text. */
export class RespConnection {
  private readonly socket: Socket;
  private readonly questions: Question[] = [];
  private received = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received = this.received === '' ? text : this.received + text;
      this.takeAnswers();
    });
    socket.on('close', () => this.fail(new BenchmarkError('the connection was closed')));
    socket.on('error', (error) => this.fail(error));
  }

  static async connect(port: number): Promise<RespConnection> {
    const socket = connect({ host: HOST, port, noDelay: true });
    await once(socket, 'connect');
    return new RespConnection(socket);
  }

  ask(words: string): Promise<string> {
    writeLater(this.socket, words);
    return new Promise((resolve, reject) => this.questions.push({ resolve, reject }));
  }

  close(): void {
    this.socket.destroy();
  }

  private takeAnswers(): void {
    const { received } = this;
    let at = 0;
    for (;;) {
      const end = endOf(received, at);
      if (end < 0) break;
      this.questions.shift()?.resolve(received.slice(at, end));
      at = end;
    }
    this.received = received.slice(at);
  }

  private fail(error: Error): void {
    for (const { reject } of this.questions.splice(0)) reject(error);
  }
}

/** Where the answer ends that begins there: a line, a bulk string, or an array of such; -1: not there yet. */
function endOf(text: string, at: number): number {
  const line = text.indexOf('\r\n', at) + 2;
  if (line < 2) return -1;
  const type = text[at];
  const length = Number(text.slice(at + 1, line - 2));
  if (type === '$' && length >= 0) return line + length + 2 > text.length ? -1 : line + length + 2;
  let end = line;
  for (let left = type === '*' ? length : 0; left > 0 && end > 0; left--) end = endOf(text, end);
  return end;
}
