/** What a session knows of its MONITOR. */
export interface Monitoring {
  /** It was told OK. */
  isShown: boolean;
  end(): void;
}
