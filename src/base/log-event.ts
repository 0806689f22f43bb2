/** Levels of log lines as both planes name them (pino's own). */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
