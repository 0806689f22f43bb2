/**
 * Times that keys have left, in the replies of scripts: `{1, 4998}` of one node and `{1, 4997}` of another say the same. They are found by
 * what the node itself said of its keys right before and right after.
 */
import { skipValue, TYPE } from '../resp/frame.js';
import { integerReply, parseInteger } from '../resp/reply.js';

/** Between the script's look at the time and ours. */
const SLACK_MS = 5;
/** Stands for a time: no node gives such an integer. */
const PLACE = Buffer.from(':?\r\n');
const CR = 0x0d;

/** What a key had left before a script, and has left after it: as PTTL says. */
export interface Left {
  readonly beforeMs: number;
  readonly afterMs: number;
}

/** The frame with each time in it replaced, and these. */
export function withoutTimes(frame: Uint8Array, keys: readonly Left[]): { reply: Uint8Array; times: number[] } {
  const times: number[] = [];
  const reply = replaced(frame, (at, end) => {
    const value = parseInteger(frame, at, end);
    if (!keys.some((left) => isTime(value, left))) return null;
    times.push(value);
    return PLACE;
  });
  return { reply, times };
}

/** The other way round. */
export function withTimes(reply: Uint8Array, times: readonly number[]): Uint8Array {
  let count = 0;
  return replaced(reply, (at) => (reply[at + 1] === PLACE[1] ? integerReply(times[count++] as number) : null));
}

/** The frame with others in place of its integers; null: it stays. */
function replaced(frame: Uint8Array, other: (start: number, end: number) => Uint8Array | null): Uint8Array {
  const parts: Uint8Array[] = [];
  let copied = 0;
  for (let at = 0; at < frame.length; ) {
    const type = frame[at] as number;
    // Of what has elements only the header is skipped: they are looked at one by one.
    const end = AGGREGATES.has(type) ? frame.indexOf(CR, at) + 2 : skipValue(frame, at);
    const part = type === TYPE.integer ? other(at, end) : null;
    if (part !== null) {
      parts.push(frame.subarray(copied, at), part);
      copied = end;
    }
    at = end;
  }
  return parts.length === 0 ? frame : Buffer.concat([...parts, frame.subarray(copied)]);
}

const AGGREGATES: ReadonlySet<number> = new Set([TYPE.array, TYPE.map, TYPE.set, TYPE.push]);

/** What is not there has no time left, and what stays for good neither. */
function isTime(value: number, { beforeMs, afterMs }: Left): boolean {
  if (value <= 0) return false;
  const isBefore = beforeMs > 0 && value <= beforeMs && value >= beforeMs - SLACK_MS;
  const isAfter = afterMs > 0 && value >= afterMs && value <= afterMs + SLACK_MS;
  return isBefore || isAfter;
}
