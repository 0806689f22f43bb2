/**
 * Which log lines the sources write, and at which level: found in the syntax tree, since what is written is what an operator
 * reads. Workers call `log(level, event, fields)`, the main thread has pino's `log.level(fields, event)`.
 */
import ts from 'typescript';

export interface LogEvent {
  event: string;
  level: string;
}

const LEVELS = new Set(['trace', 'debug', 'info', 'warn', 'error', 'fatal']);

/** Every line that this source writes. Throws where an event is not written out. */
export function logEventsOf(path: string, text: string): LogEvent[] {
  const found: LogEvent[] = [];
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const take = (level: string, event: ts.Expression | undefined) => {
    if (event === undefined || !ts.isStringLiteral(event)) {
      throw new Error(`${path}: a log line whose event is not written out: ${event?.getText() ?? 'none'}`);
    }
    found.push({ level, event: event.text });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const { expression: callee, arguments: args } = node;
      const [first, second] = args;
      if (ts.isPropertyAccessExpression(callee) && LEVELS.has(callee.name.text) && isLog(callee.expression)) {
        take(callee.name.text, args.at(-1));
      } else if (isLog(callee) && first !== undefined && ts.isStringLiteral(first) && LEVELS.has(first.text)) {
        take(first.text, second);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** `log`, `this.log`, `context.log`. */
function isLog(expression: ts.Expression): boolean {
  if (ts.isIdentifier(expression)) return expression.text === 'log';
  return ts.isPropertyAccessExpression(expression) && expression.name.text === 'log';
}
