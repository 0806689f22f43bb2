/** Which replies a client does not want: CLIENT REPLY OFF, SKIP and ON. */
export class Muting {
  /** Whether it does not want the reply to the next command; and if so, whether only that one. */
  isOn = false;
  private isOnce = false;

  /** From the next command on the client wants no replies, or not the next one. */
  mute(once: boolean): void {
    if (once && this.isOn && !this.isOnce) return;
    this.isOn = true;
    this.isOnce = once;
  }

  unmute(): void {
    this.isOn = false;
    this.isOnce = false;
  }

  /** The session begins anew. The one reply that SKIP is about may be RESET's own. */
  reset(): void {
    if (!this.isOnce) this.isOn = false;
  }

  /** Whether the reply to the command just read is dropped. Asked once for each. */
  takes(): boolean {
    if (!this.isOn) return false;
    if (this.isOnce) this.unmute();
    return true;
  }
}
