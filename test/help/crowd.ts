/** Many plain connections of one process, for what their number alone costs the proxy. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Connections that are under way at once: fewer than wait in a listener's backlog. */
const BATCH = 200;
const MINUS = 0x2d;

export class Crowd {
  readonly sockets: readonly Socket[];

  private constructor(sockets: readonly Socket[]) {
    this.sockets = sockets;
  }

  static async connect(port: number, count: number): Promise<Crowd> {
    const sockets: Socket[] = [];
    while (sockets.length < count) {
      const batch = Array.from({ length: Math.min(BATCH, count - sockets.length) }, () =>
        // Whoever waits for something hears of a failure by `close`.
        connect({ host: '127.0.0.1', port, noDelay: true }).on('error', () => {}),
      );
      await Promise.all(batch.map((socket) => once(socket, 'connect')));
      sockets.push(...batch);
    }
    return new Crowd(sockets);
  }

  /** Each sends what `request` makes of its number and reads `replyBytes`; `atOnce` of them at a time. */
  async ask(request: (client: number) => string | Buffer, replyBytes: number, atOnce = BATCH): Promise<void> {
    for (let first = 0; first < this.sockets.length; first += atOnce) {
      const some = this.sockets.slice(first, first + atOnce);
      await Promise.all(some.map((socket, index) => exchange(socket, request(first + index), replyBytes)));
    }
  }

  /** They read nothing more until `read`. */
  leaveUnread(): void {
    for (const socket of this.sockets) socket.pause();
  }

  read(): void {
    for (const socket of this.sockets) socket.resume();
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}

function exchange(socket: Socket, request: string | Buffer, replyBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = replyBytes;
    const end = (error: Error | null) => {
      socket.off('data', onData).off('close', onClose);
      if (error === null) resolve();
      else reject(error);
    };
    const onData = (bytes: Buffer) => {
      missing -= bytes.length;
      if (bytes[0] === MINUS) end(new Error(bytes.toString('latin1', 0, 200)));
      if (missing <= 0) end(missing === 0 ? null : new Error(`${-missing} bytes more than expected came`));
    };
    const onClose = () => end(new Error(`the proxy closed a connection, ${missing} bytes early`));
    socket.on('data', onData).on('close', onClose);
    socket.write(request);
  });
}
