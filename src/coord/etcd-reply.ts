/** What comes back from etcd's gateway: a whole reply, a stream of messages, or why not. */
import type { IncomingMessage } from 'node:http';
import { StoreError } from './store-error.js';

/** Of one reply or message: a folder with large values has to fit, in base64. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Of what a server says, where it is not etcd's. */
const FAILURE_CHARACTERS_MAX = 200;

export interface Failure {
  code?: number;
  grpc_code?: number;
  message?: string;
  error?: string;
}

export function silence(timeoutMs: number): string {
  return `no answer within ${Math.round(timeoutMs)} ms`;
}

export async function readText(response: IncomingMessage, timeoutMs: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const timer = setTimeout(() => response.destroy(new Error(silence(timeoutMs))), timeoutMs);
  try {
    for await (const part of response as AsyncIterable<Uint8Array>) {
      bytes += part.length;
      if (bytes > MESSAGE_BYTES_MAX) throw new Error(`a reply has more than ${MESSAGE_BYTES_MAX} bytes`);
      parts.push(part);
    }
  } catch (error) {
    throw new StoreError('unknown', `the reply broke off: ${(error as Error).message}`, error);
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(parts).toString();
}

/** Each line is `{"result": …}`, or `{"error": …}`, which is the last. Never resolves before the reply ends. */
export async function readLines(response: IncomingMessage, onMessage: (message: unknown) => void): Promise<void> {
  let parts: Buffer[] = [];
  let bytes = 0;
  let isTelling = false;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        parts.push(chunk.subarray(start, end));
        const { result, error } = parse(Buffer.concat(parts).toString()) as { result?: unknown; error?: Failure };
        if (error !== undefined) throw new Error(error.message ?? 'an error without a text');
        isTelling = true;
        onMessage(result);
        isTelling = false;
        parts = [];
        bytes = 0;
        start = end + 1;
      }
      bytes += chunk.length - start;
      if (bytes > MESSAGE_BYTES_MAX) throw new Error(`a message has more than ${MESSAGE_BYTES_MAX} bytes`);
      parts.push(chunk.subarray(start));
    }
  } catch (error) {
    // What is wrong with who listens is not the member's.
    if (isTelling || error instanceof StoreError) throw error;
    throw new StoreError('unavailable', `the watch broke off: ${(error as Error).message}`, error);
  }
  throw new StoreError('unavailable', 'etcd ended the watch');
}

/** What is no JSON comes from somebody before etcd, or from one who expects something else. */
export function failureOf(text: string): Failure {
  try {
    return JSON.parse(text) as Failure;
  } catch {
    return { message: text.trim().slice(0, FAILURE_CHARACTERS_MAX) };
  }
}

export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new StoreError('unknown', 'what answers is no etcd: it sent no JSON', error);
  }
}
