/** Writes what several clients of one connection ask at once in one piece, as clients that share connections do. */
import type { Socket } from 'node:net';

/** `socket` sends it, with all that comes before Node looks at its sockets again. */
export function writeLater(socket: Socket, bytes: Uint8Array | string): void {
  if (socket.writableCorked === 0) {
    socket.cork();
    process.nextTick(() => socket.uncork());
  }
  socket.write(bytes, 'latin1');
}
