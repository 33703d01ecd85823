/** What the comments of a type declaration say. */
export interface Comments {
  readonly type: string | undefined;
  /** by member name */
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * Reads the comments of the first interface or class in a generated .d.ts file and of its members. Members are indented
 * by four spaces and their names are quoted, in both generators that we read.
 */
export function parseComments(declaration: string): Comments {
  const fields: Record<string, string> = {};
  for (const [, body = '', name = ''] of declaration.matchAll(
    /\n {4}\/\*\*((?:(?!\*\/)[^])*)\*\/\n {4}(?:readonly )?["']([^"']+)["']\??:/g,
  )) {
    fields[name] = commentText(body);
  }
  const type =
    /\n\/\*\*((?:(?!\*\/)[^])*)\*\/\nexport (?:declare )?(?:interface|class|abstract class|type) /.exec(
      declaration,
    )?.[1];
  return { type: type === undefined ? undefined : commentText(type), fields };
}

/** Member name → JSON name, from the map that the official client's classes carry (`_continue` → `continue`). */
export function parseClassNames(code: string): Record<string, string> {
  const names: Record<string, string> = {};
  for (const [, member = '', json = ''] of code.matchAll(/"name": "([^"]+)",\s*"baseName": "([^"]+)"/g)) {
    names[member] = json;
  }
  return names;
}

/** Takes the stars off, and the backslashes that the generators put before quotes and stars. */
function commentText(body: string): string {
  return body
    .split('\n')
    .map((line) => line.replace(/^ *\* ?/, ''))
    .join('\n')
    .replaceAll(/\\(["'*\\])/g, '$1')
    .trim();
}
