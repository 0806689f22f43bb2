/** What a start compares with: the layout of the last time, kept in the dataDir. */
import type { Logger } from 'pino';
import type { Config } from '../config.js';
import { DataDir } from './data-dir.js';
import { layoutOf } from './layout.js';
import { planRemaps, REMAP_ADVICE } from './remaps.js';

/**
 * Opens the dataDir of `config`; null where it has none. Throws an error that says what would be looked for elsewhere than
 * the last time, unless that is accepted, and a DataDirError.
 */
export function openDataDir(config: Config, acceptRemap: boolean, log: Logger): DataDir | null {
  if (config.dataDir === null) return null;
  const dataDir = DataDir.open(config.dataDir);
  try {
    const last = dataDir.readLayout();
    const remaps = last === null ? [] : planRemaps(last, layoutOf(config));
    if (remaps.length > 0 && !acceptRemap) {
      log.error({ remaps, advice: REMAP_ADVICE }, 'start-refused');
      const list = remaps.map((remap) => `  ${remap}\n`).join('');
      throw new Error(
        `keys would be looked for elsewhere than the last time (dataDir ${dataDir.path}):\n${list}${REMAP_ADVICE}`,
      );
    }
    if (remaps.length > 0) log.warn({ remaps }, 'start-remaps');
    return dataDir;
  } catch (error) {
    dataDir.close();
    throw error;
  }
}
