/** How many words a script may make a call of: unpacking more is more than Lua's stack holds. */
export const SCRIPT_WORDS_MAX = 7000;
