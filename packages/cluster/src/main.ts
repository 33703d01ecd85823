import { realClock, systemRandom } from '@k8ts/base';
import { runProgram } from '@k8ts/cli';
import { VERSION_INFO } from '@k8ts/apiserver';
import { createActions } from './program/actions.ts';
import { createComponents } from './program/components.ts';
import { createLogger } from './program/pino-logger.ts';

const logger = createLogger(process.env['K8TS_LOG_LEVEL'] ?? 'warn');
const context = { clock: realClock, random: systemRandom, logger };

void runProgram(process.argv.slice(2), {
  actions: { ...createActions(context), components: createComponents(context) },
  version: VERSION_INFO.gitVersion ?? 'unknown',
  clock: realClock,
  self: [process.execPath, ...process.execArgv, process.argv[1] as string],
}).then((code) => {
  process.exitCode = code;
});
