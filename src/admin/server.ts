/** The admin port: what an orchestrator and an operator ask over HTTP. */
import { type FastifyReply, fastify } from 'fastify';
import type { Endpoint } from '../base/endpoint.js';
import type { Status } from '../control/status.js';
import { tryListener } from '../transport/listener.js';

/** What the admin port knows of the proxy. */
export interface AdminSubject {
  /** Whether clients are taken and a topology is held; true also while a node is down. */
  ready(): boolean;
  /** Null while it starts. */
  status(): Status | null;
}

export interface AdminServer {
  stop(): Promise<void>;
}

/**
 * GET /livez: 200 while the process runs. GET /readyz: 200 when it takes clients, else 503. Both answer plain text.
 * GET /status: the `Status` as JSON, 503 while it starts. Rejects when it cannot listen.
 */
export async function startAdminServer(endpoint: Endpoint, subject: AdminSubject): Promise<AdminServer> {
  // Removes the unix socket of a process that was killed, and has plain words for what else is in the way.
  await tryListener(endpoint);
  const server = fastify({ forceCloseConnections: true });
  server.get('/livez', (_request, reply) => say(reply, 200, 'ok'));
  server.get('/readyz', (_request, reply) => (subject.ready() ? say(reply, 200, 'ok') : say(reply, 503, 'not ready')));
  server.get('/status', (_request, reply) => {
    const status = subject.status();
    return status === null ? say(reply, 503, 'starting') : reply.send(status);
  });
  server.setNotFoundHandler((_request, reply) => say(reply, 404, 'not found; there are /livez, /readyz and /status'));
  await server.listen(
    endpoint.kind === 'unix' ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port },
  );
  return { stop: () => server.close() };
}

function say(reply: FastifyReply, code: number, text: string): FastifyReply {
  return reply.code(code).type('text/plain; charset=utf-8').send(`${text}\n`);
}
