/** Which constants of the source are scripts that are sent to nodes, and which of them a file's lists name. A decider: sources in. */
import { posix } from 'node:path';
import ts from 'typescript';
import type { Sources } from './arrows.js';

/** A constant: `lock/lock-scripts.ts BREAK`. */
type Place = string;

interface File {
  /** At its top level, with what they are made of. */
  constants: ReadonlyMap<string, ts.Expression>;
  /** Names of other files' constants. */
  imported: ReadonlyMap<string, Place>;
  tree: ts.SourceFile;
}

/** Texts in Lua that are used otherwise than as a piece of another text. */
export function sentScripts(sources: Sources): Set<Place> {
  const files = parsed(sources);
  const texts = luaTexts(files);
  const sent = new Set<Place>();
  for (const [path, file] of files) {
    eachName(file.tree, (name) => {
      const place = placeOf(path, file, name.text);
      if (texts.has(place) && !ts.isTemplateSpan(name.parent) && isUse(name)) sent.add(place);
    });
  }
  return sent;
}

/** All constants that the lists of `path` name, also by way of other lists. */
export function listed(sources: Sources, path: string): Set<Place> {
  const files = parsed(sources);
  const texts = luaTexts(files);
  const found = new Set<Place>();
  const walk = (at: string, node: ts.Node) => {
    const file = files.get(at) as File;
    eachName(node, (name) => {
      const place = placeOf(at, file, name.text);
      if (found.has(place)) return;
      const [target = '', constant = ''] = place.split(' ');
      const made = files.get(target)?.constants.get(constant);
      if (made === undefined) return;
      found.add(place);
      if (!texts.has(place)) walk(target, made);
    });
  };
  for (const made of files.get(path)?.constants.values() ?? []) walk(path, made);
  return found;
}

function parsed(sources: Sources): Map<string, File> {
  const files = new Map<string, File>();
  for (const [path, text] of sources) {
    const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    const constants = new Map<string, ts.Expression>();
    const imported = new Map<string, Place>();
    for (const statement of tree.statements) {
      if (ts.isVariableStatement(statement)) {
        for (const { name, initializer } of statement.declarationList.declarations)
          if (ts.isIdentifier(name) && initializer !== undefined) constants.set(name.text, initializer);
      }
      if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue;
      const target = posix.join(posix.dirname(path), statement.moduleSpecifier.text).replace(/\.js$/, '.ts');
      const names = statement.importClause?.namedBindings;
      if (names === undefined || !ts.isNamedImports(names)) continue;
      for (const { name, propertyName } of names.elements)
        imported.set(name.text, `${target} ${(propertyName ?? name).text}`);
    }
    files.set(path, { constants, imported, tree });
  }
  return files;
}

/** What calls Redis, and what has a piece that does. */
function luaTexts(files: ReadonlyMap<string, File>): Set<Place> {
  const texts = new Set<Place>();
  for (let before = -1; texts.size > before; ) {
    before = texts.size;
    for (const [path, file] of files) {
      for (const [name, made] of file.constants) {
        if (ts.isArrowFunction(made)) continue;
        let isLua = /redis\.p?call\(/.test(made.getText());
        eachName(made, (piece) => {
          isLua ||= ts.isTemplateSpan(piece.parent) && texts.has(placeOf(path, file, piece.text));
        });
        if (isLua) texts.add(`${path} ${name}`);
      }
    }
  }
  return texts;
}

function placeOf(path: string, { imported }: File, name: string): Place {
  return imported.get(name) ?? `${path} ${name}`;
}

/** And not where it is declared, imported or exported, nor a field of that name. */
function isUse({ parent, text }: ts.Identifier): boolean {
  if (ts.isVariableDeclaration(parent)) return parent.initializer?.getText() === text;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression.getText() === text;
  return !ts.isImportSpecifier(parent) && !ts.isExportSpecifier(parent) && !ts.isPropertyAssignment(parent);
}

function eachName(node: ts.Node, visit: (name: ts.Identifier) => void): void {
  if (ts.isIdentifier(node)) visit(node);
  ts.forEachChild(node, (child) => eachName(child, visit));
}
