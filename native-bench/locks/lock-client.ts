/** What takes locks and frees them, of one kind of server. */
export interface LockTarget {
  label: string;
  /** The process before the servers, if there is one. */
  proxyPid: number | null;
  serverPids: readonly number[];
  /** For so many clients, each with what it takes to be one of its own. */
  connect(clients: number): Promise<LockClients>;
}

export interface LockClients {
  /** As client number so-and-so; waits for it if others have it. What it resolves with frees the lock. */
  acquire(client: number, name: string): Promise<() => Promise<void>>;
  close(): void;
}
