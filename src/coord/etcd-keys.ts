/**
 * How entries lie in etcd, and what its transactions and events say of them:
 *
 *   /PREFIX/FOLDER/NAME    the entry; mod_revision is its version
 *   /PREFIX/FOLDER/        the folder: written in the transaction of each change that adds or removes a name
 */
import { decodeBody, encodeBody } from './body.js';
import type { Attempt, Stored, StoredFolder } from './driver.js';
import type { Key } from './key.js';

export interface KeyValue {
  key: string;
  mod_revision: string;
  value?: string;
}

export interface RangeReply {
  header: { revision: string };
  kvs?: KeyValue[];
  /** Of all keys in the range. */
  count?: string;
}

export interface TxnReply {
  header: { revision: string };
  succeeded?: boolean;
  responses?: { response_range?: RangeReply }[];
}

/** A folder that is changed by what is told of it. */
export interface FolderDraft extends StoredFolder {
  version: number;
  mark: string;
  readonly entries: Map<string, Stored>;
}

export class EtcdKeys {
  private readonly prefix: string;

  /** `prefix`: of all keys, without slashes around it. */
  constructor(prefix: string) {
    this.prefix = prefix;
  }

  /** All of a folder, as a range of keys. */
  range(folder: string): { key: string; range_end: string } {
    const path = this.path({ folder, name: '' });
    // The character after the slash.
    return { key: base64(path), range_end: base64(`${path.slice(0, -1)}0`) };
  }

  /** A transaction that reads an entry, and the folder that says what is not there. */
  read(key: Key): object {
    return { success: this.reads(key) };
  }

  /** A transaction that changes the entry to `value`, or removes it (null), if that is its version; else it reads what is there, and counts. */
  change(key: Key, expected: number, mark: string, value: string | null): object {
    const own = base64(this.path(key));
    const remove = [{ request_delete_range: { key: own } }, this.noteNames(key, mark)];
    const success = value === null ? remove : [put(own, encodeBody(mark, value))];
    // What is not there has the revision 0 for etcd.
    const failure = [...this.reads(key), { request_range: { ...this.range(key.folder), count_only: true } }];
    return { compare: [hasVersion(own, expected), isThere(own)], success, failure };
  }

  /** A transaction that adds the entry, if it is not there and that is the folder's version; else it reads what is there. */
  addition(key: Key, expected: number, mark: string, value: string): object {
    const own = base64(this.path(key));
    const folder = base64(this.path({ ...key, name: '' }));
    const success = [put(own, encodeBody(mark, value)), this.noteNames(key, mark)];
    return { compare: [hasVersion(own, 0), hasVersion(folder, expected)], success, failure: this.reads(key) };
  }

  /** What came of a change or an addition. */
  outcome(reply: TxnReply): Attempt {
    if (reply.succeeded === true) return { kind: 'done', version: Number(reply.header.revision) };
    return { kind: 'conflict', found: this.found(reply) };
  }

  /** Of a change that was none: how many entries the folder has. */
  count({ responses = [] }: TxnReply): number {
    const keys = Number(responses[2]?.response_range?.count ?? 0);
    // One of them is the folder's own.
    return Math.max(0, keys - 1);
  }

  /** What a `read` has found. */
  found({ responses = [] }: TxnReply): Stored {
    const [own, folder] = responses.map((response) => response.response_range?.kvs?.[0]);
    if (own !== undefined) return this.stored(own);
    if (folder === undefined) return { version: 0, mark: '', value: null };
    return { version: Number(folder.mod_revision), mark: text(folder.value), value: null };
  }

  /** What the range of a folder has. */
  draft(folder: string, { kvs = [] }: RangeReply): FolderDraft {
    const draft: FolderDraft = { version: 0, mark: '', entries: new Map() };
    for (const kv of kvs) this.take(folder, draft, kv, false);
    return draft;
  }

  /** Notes what a key has now. */
  take(folder: string, draft: FolderDraft, kv: KeyValue, isRemoved: boolean): void {
    const name = text(kv.key).slice(this.path({ folder, name: '' }).length);
    if (name === '') {
      draft.version = Number(kv.mod_revision);
      draft.mark = text(kv.value);
    } else if (isRemoved) draft.entries.delete(name);
    else draft.entries.set(name, this.stored(kv));
  }

  private stored(kv: KeyValue): Stored {
    return { version: Number(kv.mod_revision), ...decodeBody(text(kv.value), `the key ${text(kv.key)} of etcd`) };
  }

  private noteNames(key: Key, mark: string): object {
    return put(base64(this.path({ ...key, name: '' })), mark);
  }

  private reads(key: Key): object[] {
    return [key, { ...key, name: '' }].map((key) => ({ request_range: { key: base64(this.path(key)) } }));
  }

  private path({ folder, name }: Key): string {
    return `/${this.prefix}/${folder}/${name}`;
  }
}

function put(key: string, value: string): object {
  return { request_put: { key, value: base64(value) } };
}

function hasVersion(key: string, version: number): object {
  return { key, target: 'MOD', result: 'EQUAL', mod_revision: `${version}` };
}

function isThere(key: string): object {
  return { key, target: 'MOD', result: 'GREATER', mod_revision: '0' };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** What is empty is left out. */
function text(value: string | undefined): string {
  return Buffer.from(value ?? '', 'base64').toString();
}
