/**
 * Variables of the environment in texts of the configuration, as a shell has them:
 *
 *   ${NAME}            what NAME is set to; a mistake where it is not set
 *   ${NAME:-default}   the same, or `default` where NAME is not set or is empty
 *   $${                the two characters ${
 *
 * Messages name variables and never show what they are set to: that may be a password.
 */
import { meant } from './nearest.js';

/** As `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Expansion {
  text: string;
  /** The names of the variables that stood there. */
  variables: string[];
}

const VARIABLE = /\$\$\{|\$\{(?:([A-Za-z_]\w*)(?::-([^}]*))?\})?/g;

/** `text` with its variables filled in, or what is wrong with them: a sentence for each. What is filled in is not read again. */
export function expandVariables(text: string, environment: Environment): Expansion | { faults: string[] } {
  const variables: string[] = [];
  const faults: string[] = [];
  const expanded = text.replace(
    VARIABLE,
    (whole, name: string | undefined, otherwise: string | undefined, at: number) => {
      if (whole === '$${') return '${';
      if (name === undefined) {
        faults.push(noVariable(text.slice(at)));
        return '';
      }
      variables.push(name);
      const value = environment[name];
      if (otherwise !== undefined) {
        if (otherwise.includes('${')) faults.push(`the default of ${name} cannot have a variable in it`);
        return value === undefined || value === '' ? otherwise : value;
      }
      if (value === undefined) faults.push(unset(name, environment));
      return value ?? '';
    },
  );
  return faults.length > 0 ? { faults } : { text: expanded, variables };
}

/** `text` so written that it expands to itself. */
export function escapeVariables(text: string): string {
  return text.replaceAll('${', () => '$${');
}

/** Other forms that a shell has, such as ${NAME-default} and ${NAME:?message}. */
const SHELL_FORM = /^\$\{([A-Za-z_]\w*)(:?[-?+=])/;

/** What is wrong with `text`, which begins with a brace that opens no variable. Does not repeat what follows the name. */
function noVariable(text: string): string {
  const [, name, sign] = SHELL_FORM.exec(text) ?? [];
  if (name === undefined) {
    return 'expected ${NAME} or ${NAME:-default} after a $ with a brace; write $${ for the characters ${';
  }
  const form = (sign: string) => `\${${name}${sign}…}`;
  if (sign === ':-') return `${form(':-')} is not closed: a } is missing`;
  const known = `known are \${${name}}, which is a mistake where ${name} is not set, and ${form(':-')} for a default`;
  return `${form(sign as string)} is not known; ${known}`;
}

function unset(name: string, environment: Environment): string {
  const known = Object.keys(environment).filter((other) => environment[other] !== undefined);
  const hint = meant(name, known) || '; set it, or write ${…:-default}'.replace('…', name);
  return `the environment has no variable ${name}${hint}`;
}
