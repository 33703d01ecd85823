import { expect, test } from 'vitest';
import { Scope } from './scope.ts';

test('disposing aborts, undoes in reverse order, and waits for background work', async () => {
  const log: string[] = [];
  const scope = new Scope();
  scope.signal.addEventListener('abort', () => log.push('aborted'));
  scope.defer(() => void log.push('first'));
  scope.use({ [Symbol.asyncDispose]: async () => void log.push('second') });
  scope.run(
    new Promise<void>((resolve) => {
      scope.signal.addEventListener('abort', () => setTimeout(resolve, 5));
    }).then(() => void log.push('worked')),
  );
  await scope[Symbol.asyncDispose]();
  expect(log).toEqual(['aborted', 'second', 'first', 'worked']);
  await scope[Symbol.asyncDispose]();
  expect(log).toHaveLength(4);
});

test('one failure keeps nothing else from being undone; several are thrown together', async () => {
  const undone: number[] = [];
  const scope = new Scope();
  scope.defer(() => void undone.push(1));
  scope.defer(() => {
    throw new Error('a');
  });
  scope.defer(() => void undone.push(2));
  await expect(scope[Symbol.asyncDispose]()).rejects.toThrow('a');
  expect(undone).toEqual([2, 1]);

  const worse = new Scope();
  for (const message of ['a', 'b'])
    worse.defer(() => {
      throw new Error(message);
    });
  await expect(worse[Symbol.asyncDispose]()).rejects.toThrow(AggregateError);
});

test('background work that fails before the end is reported, after it is not', async () => {
  const reported: unknown[] = [];
  const scope = new Scope();
  scope.run(Promise.reject(new Error('early')), (error) => reported.push(error));
  await new Promise((resolve) => setTimeout(resolve, 1));
  scope.run(
    new Promise((_resolve, reject) =>
      scope.signal.addEventListener('abort', () => reject(new Error('late'))),
    ),
    (error) => reported.push(error),
  );
  await scope[Symbol.asyncDispose]();
  expect(reported.map((error) => (error as Error).message)).toEqual(['early']);
});
