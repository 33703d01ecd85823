import { describe, expect, test } from 'vitest';
import { parseClassNames, parseComments } from './declaration-comments.ts';

describe('comments of declarations', () => {
  test('of an interface', () => {
    const text = `import { A } from "a";
/**
 * A thing's \\* home.
 *
 *  - \`"x"\` is one.
 */
export interface IThing extends TypeMeta {
    "apiVersion": "v1";
    /**
     * Its name.
     */
    "name": string;
    /**
     * Its x-es.
     */
    "x-kubernetes-x"?: {
        /** not a member */
        "inner": string;
    };
}
`;
    expect(parseComments(text)).toEqual({
      type: 'A thing\'s * home.\n\n - `"x"` is one.',
      fields: { name: 'Its name.', 'x-kubernetes-x': 'Its x-es.' },
    });
  });

  test('of a class, with its own names for members', () => {
    const text = `/**
 * Kubernetes
 */
import { B } from 'b';
/**
* It\\'s a thing.
*/
export declare class V1Thing {
    /**
    * Go on \\"here\\".
    */
    '_continue'?: string;
    'plain': B;
    static readonly discriminator: string | undefined;
}
`;
    expect(parseComments(text)).toEqual({ type: "It's a thing.", fields: { _continue: 'Go on "here".' } });
    expect(parseClassNames(`{ "name": "_continue",\n "baseName": "continue",\n "type": "string" }`)).toEqual({
      _continue: 'continue',
    });
  });

  test('of nothing', () => {
    expect(parseComments('export {};\n')).toEqual({ type: undefined, fields: {} });
  });
});
