/** Waiting for what a socket says, which may be that it is gone. */
import type { Socket } from 'node:net';

/** Resolves at the next `event`; rejects when the socket is closed before, or has been. */
export function onceOrClosed(socket: Socket, event: 'connect' | 'data' | 'drain'): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) {
      reject(new Error('the connection was closed'));
      return;
    }
    const onEvent = () => {
      socket.off('close', onClose);
      resolve();
    };
    const onClose = () => {
      socket.off(event, onEvent);
      reject(new Error('the connection was closed'));
    };
    socket.once(event, onEvent).once('close', onClose);
  });
}
