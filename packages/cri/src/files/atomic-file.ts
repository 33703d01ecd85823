import { open, rename, rm } from 'node:fs/promises';

let temporaries = 0;

/**
 * Replaces a file so that a reader, also one after a crash, sees the old or the new content and nothing between. `sync`
 * waits for the disk: for what must outlive a loss of power, not only a killed process.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  options: { readonly mode?: number; readonly sync?: boolean } = {},
): Promise<void> {
  const temporary = `${path}.${process.pid}.${temporaries++}.tmp`;
  try {
    const file = await open(temporary, 'wx', options.mode ?? 0o600);
    try {
      await file.writeFile(content);
      if (options.sync) await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

export function isNotFound(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}
