/** A Dockerfile taken apart, and its steps carried out in folders instead of images: as far as that shows anything. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, isAbsolute, join, resolve } from 'node:path';
import { type Copy, DockerfileParser, type Instruction, type Run } from 'dockerfile-ast';

export interface Stage {
  image: string;
  name: string | null;
  instructions: readonly Instruction[];
}

/** The stages of a Dockerfile, each from its FROM on, variables left as they are written. */
export function stagesOf(text: string): Stage[] {
  const stages: Stage[] = [];
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    const words = instruction.getArguments().map((argument) => argument.getValue());
    if (instruction.getKeyword() === 'FROM')
      stages.push({ image: words[0] ?? '', name: words[2] ?? null, instructions: [] });
    else (stages.at(-1)?.instructions as Instruction[] | undefined)?.push(instruction);
  }
  return stages;
}

/** The words of the last such instruction in exec form: `["a", "b"]`. Null where there is none, or one in shell form. */
export function execForm(stage: Stage, keyword: string): string[] | null {
  const last = stage.instructions.filter((instruction) => instruction.getKeyword() === keyword).at(-1);
  const [list] = /\[.*\]$/s.exec(last?.getRawArgumentsContent() ?? '') ?? [];
  return list === undefined ? null : (JSON.parse(list) as string[]);
}

/** The arguments of all such instructions, each as one text. */
export function argumentsOf(stage: Stage, keyword: string): string[] {
  return stage.instructions
    .filter((instruction) => instruction.getKeyword() === keyword)
    .map((instruction) =>
      instruction
        .getArguments()
        .map((argument) => argument.getValue())
        .join(' '),
    );
}

/** What COPY instructions take from the checkout, not from another stage. */
export function copiedFromCheckout(stage: Stage): string[] {
  return stage.instructions
    .filter((instruction) => instruction.getKeyword() === 'COPY' && (instruction as Copy).getFlags().length === 0)
    .flatMap((instruction) =>
      instruction
        .getArguments()
        .map((argument) => argument.getValue())
        .slice(0, -1),
    );
}

/** Whether `.dockerignore` lets a path of the checkout's top into the build: those that it names after "!", and no others. */
export function allowedInBuild(ignoreText: string): ReadonlySet<string> {
  const lines = ignoreText.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (lines[0] !== '*' || lines.slice(1).some((line) => !/^![\w.-]+$/.test(line))) {
    throw new Error('.dockerignore is expected to be a list of exceptions from *');
  }
  return new Set(lines.slice(1).map((line) => line.slice(1)));
}

/**
 * Carries out WORKDIR, COPY and RUN of all stages: `root/0`, `root/1` … stand for the file systems of the stages, of which
 * only what the Dockerfile puts there exists. RUN runs on this machine, in the folder of its WORKDIR. Returns the last one.
 */
export function buildIn(root: string, checkout: string, stages: readonly Stage[]): string {
  const allowed = allowedInBuild(readFileSync(join(checkout, '.dockerignore'), 'utf8'));
  const systems = new Map<string, string>();
  let last = '';
  for (const [index, stage] of stages.entries()) {
    last = join(root, String(index));
    if (stage.name !== null) systems.set(stage.name, last);
    let workdir = '/';
    for (const instruction of stage.instructions) {
      switch (instruction.getKeyword()) {
        case 'WORKDIR':
          workdir = resolve(workdir, instruction.getArguments()[0]?.getValue() ?? '');
          mkdirSync(join(last, workdir), { recursive: true });
          break;
        case 'COPY':
          copy(instruction as Copy, join(last, workdir), last, (from) => {
            const system = from === null ? checkout : systems.get(from);
            if (system === undefined) throw new Error(`there is no stage ${from}`);
            return { system, allowed: from === null ? allowed : null };
          });
          break;
        case 'RUN':
          run(instruction as Run, join(last, workdir));
          break;
      }
    }
  }
  return last;
}

type FindSource = (from: string | null) => { system: string; allowed: ReadonlySet<string> | null };

function copy(instruction: Copy, folder: string, root: string, source: FindSource): void {
  const flag = instruction.getFlags().find((candidate) => candidate.getName() === 'from');
  const { system, allowed } = source(flag?.getValue() ?? null);
  const words = instruction.getArguments().map((argument) => argument.getValue());
  const target = words.pop() ?? '';
  const destination = isAbsolute(target) ? join(root, target) : join(folder, target);
  const intoFolder = words.length > 1 || target.endsWith('/');
  for (const word of words) {
    if (allowed !== null && !allowed.has(word)) throw new Error(`.dockerignore keeps ${word} out of the build`);
    const path = join(system, word);
    if (!existsSync(path)) throw new Error(`COPY ${word}: there is no ${path}`);
    cpSync(path, intoFolder ? join(destination, basename(word)) : destination, { recursive: true });
  }
}

function run(instruction: Run, folder: string): void {
  // The shell gets the text as it is written, line breaks and all.
  const script = instruction.getRawArgumentsContent() ?? '';
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(`RUN ${script}: exit ${status}\n${stdout}${stderr}`);
}
