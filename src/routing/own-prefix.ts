/** What keys of the proxy's own begin with: in a file of its own, since workers need it, and nothing else of what reads configurations. */
export const OWN_PREFIX = '~rl:';
