import { open } from 'node:fs/promises';

import { errorMessage } from '@k8ts/base';
import { type ContainerStatus, parseLogRecord } from '@k8ts/cri';

import { containerMarks } from '../pod/labels.ts';

const MESSAGE_LIMIT = 4096;
const LOG_LIMIT = 2048;
const LOG_LINES = 80;

/**
 * What a container that has ended wrote as its last words: the file it was given for that, or the end of its log where the
 * policy says so and it failed. Falls back to the runtime's own message.
 */
export async function terminationMessage(status: ContainerStatus): Promise<string> {
  const { terminationMessagePath, terminationMessagePolicy } = containerMarks(
    status.annotations,
    status.metadata.attempt,
  );
  const mount = status.mounts.find(({ containerPath }) => containerPath === terminationMessagePath);
  if (mount !== undefined && mount.hostPath !== '') {
    try {
      const text = (await readPart(mount.hostPath, 'start', MESSAGE_LIMIT)).toString('utf8');
      if (text !== '') return text;
    } catch (error) {
      return `Error on reading termination log ${mount.hostPath}: ${errorMessage(error)}`;
    }
  }
  const wantsLog = terminationMessagePolicy === 'FallbackToLogsOnError' && status.exitCode !== 0;
  if (wantsLog && status.reason !== 'ContainerCannotRun' && status.logPath !== '') {
    const text = await logTail(status.logPath).catch(() => '');
    if (text !== '') return text;
  }
  return status.message;
}

async function logTail(path: string): Promise<string> {
  // Every record carries a time and a stream before its text; this is enough for the limit in any case.
  const lines = (await readPart(path, 'end', LOG_LIMIT * 16)).toString('latin1').split('\n');
  const texts: string[] = [];
  let size = 0;
  for (const line of lines.reverse()) {
    const record = parseLogRecord(Buffer.from(line, 'latin1'));
    if (record === undefined) continue;
    const text = record.content.toString('utf8') + (record.partial ? '' : '\n');
    size += Buffer.byteLength(text);
    if (texts.length >= LOG_LINES || size > LOG_LIMIT) break;
    texts.push(text);
  }
  return texts.reverse().join('');
}

async function readPart(path: string, from: 'start' | 'end', limit: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const length = Math.min(size, limit);
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await file.read(buffer, 0, length, from === 'start' ? 0 : size - length);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
