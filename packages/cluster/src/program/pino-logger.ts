import { pino } from 'pino';
import type { Logger as Pino } from 'pino';
import type { LogFields, Logger } from '@k8ts/base';

/** JSON lines on standard error: the program's standard output is for people. */
export function createLogger(level: string): Logger {
  return adapt(pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2)));
}

function adapt(log: Pino): Logger {
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields?: LogFields): void => {
      if (fields === undefined) log[level](message);
      else log[level](fields, message);
    };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => adapt(log.child(fields)),
  };
}
