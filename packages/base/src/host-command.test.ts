import { describe, expect, it } from 'vitest';
import { CommandError, runCommand } from './host-command.ts';

const node = (script: string, options = {}): Promise<string> =>
  runCommand(process.execPath, ['-e', script], options);

describe('runCommand', () => {
  it('gives the output, passes the input and the directory', async () => {
    expect(await node('process.stdin.pipe(process.stdout)', { input: 'hello' })).toBe('hello');
    expect(await node('process.stdout.write(process.cwd())', { cwd: '/' })).toBe('/');
  });

  it('hands on nothing of our environment', async () => {
    expect(
      Object.keys(JSON.parse(await node('console.log(JSON.stringify(process.env))')) as object).sort(),
    ).toEqual(['LC_ALL', 'PATH']);
  });

  it('says what a failed program said', async () => {
    const failed = await node('console.error("no such thing"); process.exit(3)').catch(
      (error: unknown) => error,
    );
    expect(failed).toBeInstanceOf(CommandError);
    expect(failed).toMatchObject({ exitCode: 3, stderr: 'no such thing\n' });
    expect((failed as Error).message).toMatch(/: no such thing$/);
    await expect(node('process.exit(3)')).rejects.toThrow(/ended with 3$/);
    await expect(node('process.kill(process.pid)')).rejects.toThrow(/ended with a signal$/);
    await expect(runCommand('/no/such/program', [])).rejects.toMatchObject({ exitCode: undefined });
  });

  it('does not mind a program that does not read its input', async () => {
    expect(await node('process.stdout.write("done")', { input: 'x'.repeat(1 << 20) })).toBe('done');
  });

  it('ends the program when the signal aborts', async () => {
    const controller = new AbortController();
    const running = node('setInterval(() => undefined, 1000)', { signal: controller.signal });
    controller.abort();
    await expect(running).rejects.toBeInstanceOf(CommandError);
  });
});
