/** The option that names the configuration. Apart from what reads it, so that help and health need not load the schema. */
import type { Option } from './command.js';

export const CONFIG_OPTION = {
  value: 'FILE',
  short: 'c',
  about: 'the configuration, in YAML',
  completes: 'file',
} as const satisfies Option;
