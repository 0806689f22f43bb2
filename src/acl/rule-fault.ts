/** What can be wrong with a rule of a user, in Redis's words (acl.c: ACLSetUserStringError). */

export const RULE_FAULT = {
  syntax: 'Syntax error',
  unknown: 'Unknown command or category name in ACL',
  allKeys:
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try " +
    "'resetkeys' to start with an empty list of patterns",
  allChannels:
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try " +
    "'resetchannels' to start with an empty list of channels",
  noPassword: 'The password you are trying to remove from the user does not exist',
  badDigest: 'The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters',
  firstArgument: 'Allowing first-arg of a subcommand is not supported',
} as const;

export type RuleFault = (typeof RULE_FAULT)[keyof typeof RULE_FAULT];
