// The package has no types of its own.
declare module 'redis-parser' {
  class RedisParser {
    constructor(options: {
      returnReply: (reply: unknown) => void;
      returnError: (error: Error) => void;
      returnFatalError?: (error: Error) => void;
      returnBuffers?: boolean;
      stringNumbers?: boolean;
    });
    execute(bytes: Buffer): void;
    reset(): void;
  }
  export = RedisParser;
}
