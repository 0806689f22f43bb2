/** Jute, in which ZooKeeper's packets are written: big-endian numbers, and what has a length behind its length. */

export class JuteWriter {
  private readonly parts: Buffer[] = [];

  int(value: number): this {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeInt32BE(value);
    return this.add(bytes);
  }

  long(value: bigint): this {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigInt64BE(value);
    return this.add(bytes);
  }

  bool(value: boolean): this {
    return this.add(Buffer.of(value ? 1 : 0));
  }

  bytes(value: Uint8Array): this {
    return this.int(value.length).add(Buffer.from(value));
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value));
  }

  /** What another one has. */
  append(other: JuteWriter): this {
    this.parts.push(...other.parts);
    return this;
  }

  /** All of it, behind its length: a packet. */
  packet(): Buffer {
    const body = Buffer.concat(this.parts);
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(body.length);
    return Buffer.concat([length, body]);
  }

  private add(bytes: Buffer): this {
    this.parts.push(bytes);
    return this;
  }
}

/** Throws a RangeError where something else was sent than is read. */
export class JuteReader {
  private readonly source: Buffer;
  private at = 0;

  constructor(source: Buffer) {
    this.source = source;
  }

  int(): number {
    this.at += 4;
    return this.source.readInt32BE(this.at - 4);
  }

  long(): bigint {
    this.at += 8;
    return this.source.readBigInt64BE(this.at - 8);
  }

  bool(): boolean {
    this.at += 1;
    return this.source.readInt8(this.at - 1) !== 0;
  }

  bytes(): Buffer {
    const length = Math.max(0, this.int());
    if (this.at + length > this.source.length) throw new RangeError('a packet ends before its content');
    this.at += length;
    return this.source.subarray(this.at - length, this.at);
  }

  text(): string {
    return this.bytes().toString();
  }
}
