/** Settings of a node (CONFIG) that clients of the proxy do not see as they are, or do not set. */

/** Who a node asks others to be, and says it is: the names of Redis, and those of Valkey for the same. */
const CREDENTIALS = /^(requirepass|(master|primary)(auth|user)|tls-(client-)?key-file-pass)$/;
/** Who may be connected to a node, and for how long: the proxy is, and a wrong one would lock it out. */
const OF_CONNECTIONS = /^(maxclients|timeout|protected-mode|tls-(?!port$).*)$/;
/** What two nodes cannot share, and by what the proxy reaches them. */
const OF_ONE_NODE = /^(port|tls-port|bind|bind-source-addr|dir|dbfilename|(replica|slave|cluster)-announce-.*)$/;

/** Whether that setting, in lower case, is a user or a password. */
export function isCredential(setting: string): boolean {
  return CREDENTIALS.test(setting);
}

/** Why CONFIG SET of that setting, in lower case, is refused; or null. */
export function settingRefusal(setting: string): string | null {
  if (isCredential(setting))
    return "users and passwords of the nodes are set in their own configuration; those of clients are `auth` in the proxy's";
  if (OF_CONNECTIONS.test(setting))
    return "it is about the nodes' connections, which are the proxy's: set it in the nodes' own configuration";
  return OF_ONE_NODE.test(setting) ? 'it is about one node; connect to the node itself' : null;
}
