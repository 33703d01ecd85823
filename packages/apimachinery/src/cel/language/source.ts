/**
 * Positions in an expression, and errors that point at them, printed as cel-go prints them:
 *
 *     ERROR: <input>:1:5: undefined field 'x'
 *      | self.x > 1
 *      | ....^
 */

/** What is wrong at `offset` (in code points; -1: nowhere in particular). */
export interface CelSyntaxIssue {
  readonly offset: number;
  readonly message: string;
}

const MAX_ISSUES = 100;
const MAX_SNIPPET_LENGTH = 16384;

/** Collects what parser and checker have to say about one expression. */
export class IssueList {
  readonly #issues: CelSyntaxIssue[] = [];
  #count = 0;

  add(offset: number, message: string): void {
    this.#count++;
    if (this.#count <= MAX_ISSUES) this.#issues.push({ offset, message });
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  get count(): number {
    return this.#count;
  }

  /** All issues by their position, one below the other. */
  toText(source: string): string {
    const lines = splitLines(source);
    const sorted = [...this.#issues].sort((a, b) => a.offset - b.offset);
    const texts = sorted.map((issue) => issueText(issue, lines));
    if (this.#count > MAX_ISSUES) texts.push(`${this.#count - MAX_ISSUES} more errors were truncated`);
    return texts.join('\n');
  }
}

interface SourceLine {
  /** Code points before the line. */
  readonly offset: number;
  readonly characters: readonly string[];
}

function splitLines(source: string): readonly SourceLine[] {
  let offset = 0;
  return source.split('\n').map((text) => {
    const line = { offset, characters: [...text] };
    offset += line.characters.length + 1;
    return line;
  });
}

function issueText(issue: CelSyntaxIssue, lines: readonly SourceLine[]): string {
  if (issue.offset < 0) return `ERROR: <input>:-1:0: ${issue.message}`;
  let index = 0;
  while (index + 1 < lines.length && (lines[index + 1] as SourceLine).offset <= issue.offset) index++;
  const line = lines[index] as SourceLine;
  const column = issue.offset - line.offset;
  const head = `ERROR: <input>:${index + 1}:${column + 1}: ${issue.message}`;
  const snippet = line.characters.join('');
  if (Buffer.byteLength(snippet) > MAX_SNIPPET_LENGTH) return head;
  let indicator = '';
  for (let i = 0; i < column && i < line.characters.length; i++)
    indicator += isWide(line.characters[i]) ? '\uff0e' : '.';
  indicator += isWide(line.characters[column]) ? '\uff3e' : '^';
  return `${head}\n | ${snippet.replaceAll('\t', ' ')}\n | ${indicator}`;
}

function isWide(character: string | undefined): boolean {
  return character !== undefined && (character.codePointAt(0) as number) >= 0x80;
}
