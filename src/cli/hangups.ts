/**
 * SIGHUP, one at a time: however many come while one is handled, they are handled by one more. Those that come before there is a
 * handler wait for it, and do not end the process.
 */
export class Hangups {
  private handler: (() => Promise<void>) | null = null;
  private state: 'idle' | 'busy' | 'again' = 'idle';

  constructor() {
    process.on('SIGHUP', () => this.onSignal());
  }

  handle(handler: () => Promise<void>): void {
    this.handler = handler;
    if (this.state === 'again') void this.run();
  }

  private onSignal(): void {
    const isFree = this.state === 'idle' && this.handler !== null;
    this.state = 'again';
    if (isFree) void this.run();
  }

  private async run(): Promise<void> {
    while (this.state === 'again') {
      this.state = 'busy';
      await this.handler?.();
    }
    this.state = 'idle';
  }
}
