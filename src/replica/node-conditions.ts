/** How a node is asked for its conditions (node-requirements.ts): one piece of commands that change nothing. */
import { encodeCommand, isError } from '../resp/reply.js';
import { neededPermissions } from './needed-permissions.js';
import type { NodeRequest } from './node-request.js';
import type { NodeConditions } from './node-requirements.js';
import { elementsOf, textOf } from './reply-shape.js';

/** `user`: that the proxy logs in as; `prefixes`: of the keyspaces of the node's pool. What is refused is part of the answer. */
export function askConditions(user: string, prefixes: readonly string[]): NodeRequest<NodeConditions> {
  const permissions = neededPermissions(prefixes).map((words) => ['ACL', 'DRYRUN', user, ...words]);
  const commands = [['INFO', 'server'], ['CONFIG', 'GET', 'maxmemory-policy'], ...permissions];
  return { frames: Buffer.concat(commands.map(encodeCommand)), replyCount: commands.length, decode };
}

function decode([info, config, ...permissions]: readonly Uint8Array[]): NodeConditions {
  return {
    version: /^redis_version:(.*?)\r?$/m.exec(wordsOf(info))?.[1] ?? `of no known version (${wordsOf(info)})`,
    maxmemoryPolicy: policyOf(config),
    refusals: [...new Set(permissions.map(wordsOf).filter((words) => words !== 'OK'))],
  };
}

function policyOf(config: Uint8Array | undefined): string {
  if (config === undefined || isError(config, 0)) return `not known (${wordsOf(config)})`;
  const value = elementsOf(config)[1];
  return value === undefined ? 'not known' : textOf(value);
}

/** What a reply says, that of an error without its sign. */
function wordsOf(reply: Uint8Array | undefined): string {
  if (reply === undefined) return '';
  return isError(reply, 0) ? Buffer.from(reply).toString('latin1').slice(1).trim() : textOf(reply);
}
