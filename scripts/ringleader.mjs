#!/usr/bin/env node
/**
 * The `ringleader` command. In a checkout it first installs and builds what is missing or out of date, so that a fresh
 * clone needs no other step; in an installed package, which has no sources, it just starts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './root.mjs';
import { orExit, setUp } from './setup.mjs';

if (existsSync(join(ROOT, 'tsconfig.json'))) await orExit(setUp);
await import('../dist/src/main.js');
