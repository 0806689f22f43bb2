/**
 * A server of socket.io, of which several serve one chat by socket.io's Redis adapter. It prints its port.
 *
 *     node chat-server.mjs REDIS_PORT ioredis|redis-6 default|sharded
 *
 * What an operator can do is offered to clients, so that a test can ask for it.
 */
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { createClient } from 'redis-6';
import { Server } from 'socket.io';

const [port, library, adapter] = process.argv.slice(2);

async function connect() {
  if (library === 'ioredis') {
    const pubClient = new Redis({ port: Number(port) });
    return [pubClient, pubClient.duplicate()];
  }
  const pubClient = createClient({ url: `redis://127.0.0.1:${port}` });
  const subClient = pubClient.duplicate();
  for (const client of [pubClient, subClient]) client.on('error', (error) => console.error(error));
  await Promise.all([pubClient.connect(), subClient.connect()]);
  return [pubClient, subClient];
}

const [pubClient, subClient] = await connect();
const create = adapter === 'sharded' ? createShardedAdapter : createAdapter;
const io = new Server({ adapter: create(pubClient, subClient) });

io.on('connection', (socket) => {
  socket.data.name = socket.handshake.query.name;
  // With callbacks, clients know when it is done.
  socket.on('join', async (room, done) => {
    await socket.join(room);
    done();
  });
  socket.on('leave', async (room, done) => {
    await socket.leave(room);
    done();
  });
  socket.on('say', (room, text) => socket.to(room).emit('said', text));
  socket.on('shout', (text) => socket.broadcast.emit('said', text));
  socket.on('announce', (text) => io.emit('said', text));
  socket.on('whisper', (id, text) => io.to(id).emit('said', text));

  socket.on('who', async (room, done) => {
    const sockets = await (room === null ? io : io.in(room)).fetchSockets();
    done(sockets.map(({ data, rooms, id }) => ({ name: data.name, rooms: [...rooms].filter((room) => room !== id) })));
  });
  socket.on('ask', async (room, question, done) =>
    done(await io.timeout(10_000).to(room).emitWithAck('asked', question)),
  );
  socket.on('move', (from, to) => io.in(from).socketsJoin(to));
  socket.on('throw out', (room) => io.in(room).disconnectSockets());
  socket.on('servers', async (done) => done(await io.serverSideEmitWithAck('pid')));
});
io.on('pid', (done) => done(process.pid));
io.of('/other').on('connection', (socket) => {
  socket.on('shout', (text) => socket.broadcast.emit('said', text));
});

io.listen(0);
console.log(io.httpServer.address().port);
