/** Exit codes of `ringleader lock run` that are not the command's: of sysexits.h, which few commands use. */
export const EXIT_UNAVAILABLE = 69;
export const EXIT_LOST = 74;
export const EXIT_NOT_ACQUIRED = 75;
