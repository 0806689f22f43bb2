/** A call of the simulation's clients as one on a register. */
import type { RegisterCall } from '../../help/regularity.js';
import { describeWish, SEQUENTIAL, type SimCall } from './sequential.js';

export function registerCall(call: SimCall, version: string | undefined): RegisterCall {
  const { client, askedAt, endedAt, input, outcome } = call;
  const { wish, latestMs } = input;
  const text = outcome.kind === 'answered' ? SEQUENTIAL.describe(call) : describeWish(wish);
  const common = { client, askedAt, endedAt, outcome: outcome.kind, latest: latestMs, text };
  const told =
    outcome.kind === 'answered' && (wish.do === 'get' || wish.do === 'getset') ? { told: outcome.output } : {};
  const known = version === undefined ? {} : { version };
  if (wish.do === 'get') return { ...common, ...told, ...known };
  if (wish.do === 'getset') return { ...common, ...told, ...known, writes: { value: wish.text, expireAt: 0 } };
  if (wish.do === 'del') return { ...common, ...known, writes: { value: null, expireAt: 0 } };
  if (wish.do === 'set') return { ...common, ...known, writes: { value: wish.text, expireAt: wish.at } };
  throw new Error(`a register has no ${wish.do}`);
}
