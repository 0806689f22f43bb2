/** `ringleader completion`: a script that has a shell offer commands and options. Made from the table of commands. */
import { UsageError } from '../base/usage-error.js';
import { type Command, type Completes, defineCommand, type Option, print } from './command.js';

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
export type Shell = keyof typeof SHELLS;

const SHELL_NAMES = Object.keys(SHELLS) as Shell[];

/** The command `completion`, for all `commands`, itself among them. */
export function completion(commands: () => readonly Command[]): Command {
  return defineCommand({
    name: 'completion',
    about: 'print a script that has a shell complete commands and options',
    usage: [SHELL_NAMES.join(' | ')],
    text: `Prints a script for a shell, which then completes commands, options and file names at the Tab key.

  bash   source <(ringleader completion bash)            in ~/.bashrc
  zsh    source <(ringleader completion zsh)             in ~/.zshrc, after compinit
  fish   ringleader completion fish > ~/.config/fish/completions/ringleader.fish
`,
    operands: [{ name: 'SHELL', completes: SHELL_NAMES }],
    options: {},
    async run(_values, [shell]) {
      if (shell === undefined) throw new UsageError(`completion needs a shell: ${SHELL_NAMES.join(', ')}`);
      if (!isShell(shell)) throw new UsageError(`there is a script for ${SHELL_NAMES.join(', ')}, not for "${shell}"`);
      return print(completionScript(shell, commands()));
    },
  });
}

/** What `shell` is to load. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  return SHELLS[shell](commands);
}

function isShell(word: string): word is Shell {
  return Object.hasOwn(SHELLS, word);
}

/** Every command's options, and those that all have. */
function optionsOf({ options }: Command): [string, Option][] {
  return [...Object.entries(options), ['help', { short: 'h', about: 'all about the command' }]];
}

function operandsOf(command: Command): Completes | undefined {
  return command.operands?.[0]?.completes;
}

/**
 * Bash gives the words so far, cut at "=" too, and takes a list of words. Without compopt (bash 3, of macOS) a folder gets
 * a space after it.
 */
function bashScript(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name);
  const offer = (completes: Completes | undefined): string => {
    if (completes === 'file') return '_ringleader_files -f';
    if (completes === 'folder') return '_ringleader_files -d';
    const words = completes === 'command' ? names : (completes ?? []);
    return words.length === 0 ? ':' : `_ringleader_words '${words.join(' ')}'`;
  };
  const values = commands.flatMap((command) => {
    return optionsOf(command)
      .filter(([, { value }]) => value !== undefined)
      .map(([name, { short, completes }]) => {
        const forms = [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];
        return `    ${forms.map((form) => `${command.name}:${form}`).join(' | ')}) ${offer(completes)}; return ;;`;
      });
  });
  const words = commands.map((command) => {
    const options = optionsOf(command).map(([name]) => `--${name}`);
    return `    ${command.name})
      if [[ $word == -* ]]; then _ringleader_words '${options.join(' ')}'; else ${offer(operandsOf(command))}; fi ;;`;
  });
  return `# Completion of ringleader for bash. To load it: source <(ringleader completion bash)
_ringleader_words() { local IFS=$' \\n'; COMPREPLY=($(compgen -W "$1" -- "$word")); }
_ringleader_files() {
  local IFS=$'\\n'
  compopt -o filenames 2> /dev/null
  COMPREPLY=($(compgen "$1" -- "$word"))
}
_ringleader() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command= index
  if [[ $word == '=' ]]; then word=; elif [[ $before == '=' ]]; then before=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    case \${COMP_WORDS[index]} in
      ${names.join(' | ')}) command=\${COMP_WORDS[index]}; break ;;
    esac
  done
  COMPREPLY=()
  case $command:$before in
${values.join('\n')}
  esac
  case $command in
    '') _ringleader_words '${names.join(' ')} --help --version' ;;
${words.join('\n')}
  esac
}
complete -F _ringleader ringleader
`;
}

function zshScript(commands: readonly Command[]): string {
  const action = (completes: Completes | undefined): string => {
    if (completes === 'file') return '_files';
    if (completes === 'folder') return '_files -/';
    return `(${(completes === 'command' ? commands.map(({ name }) => name) : (completes ?? [])).join(' ')})`;
  };
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const about = (text: string) => text.replaceAll(/[[\]:\\]/g, '\\$&');
  const option = ([name, { short, value, multiple, about: text, completes }]: [string, Option]): string => {
    const forms = [...(short === undefined ? [] : [`-${short}`]), `--${name}`];
    const rest = `[${about(text)}]${value === undefined ? '' : `:${about(value)}:${completes === undefined ? ' ' : action(completes)}`}`;
    return forms.map((form) => quoted(`${multiple === true ? '*' : `(${forms.join(' ')})`}${form}${rest}`)).join(' ');
  };
  const cases = commands.map((command) => {
    const operand = command.operands?.[0];
    const operands = operand === undefined ? [] : [quoted(`1:${operand.name}:${action(operand.completes)}`)];
    return `        ${command.name}) _arguments ${[...optionsOf(command).map(option), ...operands].join(' \\\n          ')} ;;`;
  });
  return `#compdef ringleader
# Completion of ringleader for zsh. To load it: source <(ringleader completion zsh)
_ringleader() {
  local state line
  local -a commands
  commands=(
${commands.map(({ name, about: text }) => `    ${quoted(`${name}:${text}`)}`).join('\n')}
  )
  _arguments -C '(- *)'{-h,--help}'[what there is]' '(- *)'{-v,--version}'[which version this is]' \\
    '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $line[1] in
${cases.join('\n')}
      esac ;;
  esac
}
if [ "$funcstack[1]" = _ringleader ]; then _ringleader "$@"; else compdef _ringleader ringleader; fi
`;
}

function fishScript(commands: readonly Command[]): string {
  const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const action = (completes: Completes | undefined): string => {
    if (completes === 'file') return ' -F';
    if (completes === 'folder') return " -a '(__fish_complete_directories)'";
    const words = completes === 'command' ? commands.map(({ name }) => name) : (completes ?? []);
    return words.length === 0 ? '' : ` -a ${quoted(words.join(' '))}`;
  };
  const lines = commands.flatMap((command) => {
    const when = `complete -c ringleader -n '__fish_seen_subcommand_from ${command.name}'`;
    const options = optionsOf(command).map(([name, { short, value, about, completes }]) => {
      const forms = `${short === undefined ? '' : ` -s ${short}`} -l ${name}`;
      return `${when}${forms}${value === undefined ? '' : completes === 'file' ? ' -r' : ' -x'}${action(completes)} -d ${quoted(about)}`;
    });
    const operands = operandsOf(command) === undefined ? [] : [`${when}${action(operandsOf(command))}`];
    const first = `complete -c ringleader -n __fish_use_subcommand -a ${command.name} -d ${quoted(command.about)}`;
    return [first, ...options, ...operands];
  });
  return `# Completion of ringleader for fish.
complete -c ringleader -f
complete -c ringleader -n __fish_use_subcommand -s h -l help -d 'what there is'
complete -c ringleader -n __fish_use_subcommand -s v -l version -d 'which version this is'
${lines.join('\n')}
`;
}
