/**
 * The steps of members and repair (member-step) as a stock Redis server takes them, and what its replies mean. The connection
 * speaks RESP3, and has loaded MEMBER_SCRIPTS.
 */
import { TYPE } from '../resp/frame.js';
import { encodeCommand, isError, parseInteger } from '../resp/reply.js';
import { EPOCH_DIGITS, epochOf } from './ballot.js';
import type { Value } from './commands.js';
import type {
  AdmitAnswer,
  MemberAnswer,
  MemberStep,
  MendAnswer,
  MetasAnswer,
  NodeFacts,
  RaiseAnswer,
  ScanAnswer,
} from './member-step.js';
import { formatTail, momentText, parseFacts } from './meta.js';
import { isNotMember, NOT_MEMBER, unable } from './node-answer.js';
import type { NodeRequest } from './node-request.js';
import { bulkOf, elementsOf, isNull, textOf } from './reply-shape.js';
import { ADMIT, DROP, LOOK_SCRIPT, METAS, RAISE, REPLACE_STATE, SCAN, type Script } from './scripts.js';
import type { Unable } from './step.js';

export type NodeMemberStep = NodeRequest<MemberAnswer<Uint8Array>>;

/** `record`: the bytes of `~rl:node` that the node is to have, which `look` and `admit` do not ask for; empty for none. */
export function encodeMemberStep(step: MemberStep<Uint8Array, Value>, record: Uint8Array): NodeMemberStep {
  switch (step.kind) {
    case 'look':
      return LOOK;
    case 'admit': {
      const { expected, process, epoch } = step;
      const floor = epoch === null ? '' : epochDigits(epoch);
      return scriptStep(ADMIT, [], [expected, process.runId, process.replId, step.record, floor], decodeAdmit);
    }
    case 'raise':
      return scriptStep(RAISE, [], [record, epochDigits(step.epoch)], decodeRaise);
    case 'scan': {
      const { what, cursor, count } = step;
      const bound = step.what === 'gone' ? step.beforeMs : step.idleSecondsMin;
      return scriptStep(SCAN, [], [record, what, cursor, `${count}`, `${bound}`], decodeScan);
    }
    case 'metas':
      return scriptStep(METAS, step.keys, [record, step.sizes ? '1' : '0'], decodeMetas);
    case 'replace': {
      const { accepted, lineage, live, expireAt, value } = step.state;
      const words = [record, accepted, accepted + accepted + lineage, formatTail(live, expireAt), momentText(expireAt)];
      return scriptStep(REPLACE_STATE, [step.key], value === null ? words : [...words, value], decodeMend);
    }
    case 'drop':
      return scriptStep(DROP, [step.key], [record], decodeMend);
  }
}

const LOOK: NodeMemberStep = {
  // No transaction: a node without memory queues none. Process and record are those of one moment; the setting never changes.
  frames: Buffer.concat([
    encodeCommand(['CONFIG', 'GET', 'enable-debug-command']),
    encodeCommand(['EVAL', LOOK_SCRIPT.source, '0']),
  ]),
  replyCount: 2,
  decode(replies) {
    const failed = replies.find((reply) => isError(reply, 0));
    if (failed !== undefined) return unable(failed);
    const [config, found] = replies as [Uint8Array, Uint8Array];
    const [info, record] = elementsOf(found) as [Uint8Array, Uint8Array];
    return decodeLook(info, config, record);
  },
};

function decodeLook(
  info: Uint8Array,
  config: Uint8Array,
  record: Uint8Array,
): NodeFacts & {
  kind: 'facts';
} {
  const text = textOf(info);
  const [, debugCommand] = elementsOf(config);
  return {
    kind: 'facts',
    process: { runId: field(text, 'run_id'), replId: field(text, 'master_replid') },
    role: field(text, 'role'),
    // Of the master that it followed last. A start sets it to zeros.
    wasReplica: !/^0+$/.test(field(text, 'master_replid2')),
    replicas: Number(field(text, 'connected_slaves')),
    debugCommand: debugCommand === undefined ? '' : textOf(debugCommand),
    record: isNull(record) ? '' : utf8Of(record),
  };
}

/** Of a line of INFO; '' where there is none. */
function field(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
}

function decodeAdmit(reply: Uint8Array): AdmitAnswer {
  const elements = elementsOf(reply);
  if (elements.length === 0) return { kind: 'admitted' };
  const [record, runId, replId, epochFloor] = elements as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const process = { runId: textOf(runId), replId: textOf(replId) };
  return { kind: 'changed', record: utf8Of(record), process, epochFloor: Number(textOf(epochFloor)) };
}

function decodeRaise(reply: Uint8Array): RaiseAnswer {
  const text = textOf(reply);
  return isNotMember(text) ? NOT_MEMBER : { kind: 'raised', epochFloor: epochOf(text) };
}

function decodeScan(reply: Uint8Array): ScanAnswer<Uint8Array> {
  if (reply[0] !== TYPE.array) return NOT_MEMBER;
  const [cursor, keys] = elementsOf(reply) as [Uint8Array, Uint8Array];
  return { kind: 'page', cursor: textOf(cursor), keys: elementsOf(keys).map(bulkOf) };
}

function decodeMetas(reply: Uint8Array): MetasAnswer {
  if (reply[0] !== TYPE.array) return NOT_MEMBER;
  const [facts, sizes] = elementsOf(reply) as [Uint8Array, Uint8Array | undefined];
  return {
    kind: 'metas',
    facts: elementsOf(facts).map((text) => parseFacts(textOf(text), 0)),
    sizes: sizes === undefined ? null : elementsOf(sizes).map((size) => parseInteger(size, 0, size.length)),
  };
}

function decodeMend(reply: Uint8Array): MendAnswer {
  return isNotMember(textOf(reply)) ? NOT_MEMBER : { kind: 'done' };
}

function utf8Of(frame: Uint8Array): string {
  return Buffer.from(bulkOf(frame)).toString();
}

function epochDigits(epoch: number): string {
  return String(epoch).padStart(EPOCH_DIGITS, '0');
}

function scriptStep<A extends MemberAnswer<Uint8Array>>(
  script: Script,
  keys: readonly Uint8Array[],
  words: readonly (string | Uint8Array)[],
  decode: (reply: Uint8Array) => A,
): NodeMemberStep {
  return {
    frames: encodeCommand(['EVALSHA', script.sha, `${keys.length}`, ...keys, ...words]),
    replyCount: 1,
    decode(replies): A | Unable {
      const reply = replies[0] as Uint8Array;
      return isError(reply, 0) ? unable(reply) : decode(reply);
    },
  };
}
