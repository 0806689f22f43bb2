/**
 * What lies in a store for an entry: the mark of the change that made it so, and the value behind a space. What lies there for a
 * folder is the mark alone.
 */
import { StoreError } from './store-error.js';

const MARK = /^[\w.-]{1,64}$/;

export function encodeBody(mark: string, value: string): string {
  return `${mark} ${value}`;
}

/** Throws a StoreError, `refused`, for what somebody else wrote; `where` says where it was. */
export function decodeBody(body: string, where: string): { mark: string; value: string } {
  const end = body.indexOf(' ');
  const mark = body.slice(0, Math.max(0, end));
  if (!MARK.test(mark)) throw new StoreError('refused', `${where} was not written by this program`);
  return { mark, value: body.slice(end + 1) };
}
