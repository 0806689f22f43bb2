/**
 * Hints of several nodes that one key was changed, put together: each node tells of each change, within a few milliseconds, and whoever reads
 * before all have it finds copies that differ.
 *
 *   a node tells ──> gathering ──all have told, or 5 ms have passed──> onChange
 */

/** How long a node is waited for that has not told of what another one has. */
const GATHER_MS = 5;

export class HintGate<Node> {
  private readonly onChange: () => void;
  private readonly told = new Set<Node>();
  private timer: NodeJS.Timeout | null = null;

  constructor(onChange: () => void) {
    this.onChange = onChange;
  }

  /** That node has told; `nodes` are those that tell now. */
  onHint(node: Node, nodes: readonly Node[]): void {
    this.told.add(node);
    if (nodes.every((other) => this.told.has(other))) this.open();
    else this.timer ??= setTimeout(() => this.open(), GATHER_MS);
  }

  /** Calls `onChange` now. */
  open(): void {
    this.close();
    this.onChange();
  }

  /** Forgets what was told. */
  close(): void {
    this.told.clear();
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}
