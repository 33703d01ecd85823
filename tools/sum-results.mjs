// Adds up what the test suites reported: `node tools/sum-results.mjs DIR SUITE…` reads DIR/SUITE.json of each, and the
// reports of the suites that ran in isolation (DIR/isolated-….json). Fails when a suite has no report or no tests, when a test failed, or when one was skipped without a reason, which stands in
// brackets at the end of its name. The last line is the sum.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [directory, ...required] = process.argv.slice(2);
const isolated = readdirSync(directory)
  .filter((file) => file.startsWith('isolated-'))
  .map((file) => file.replace('.json', ''));
const suites = [...required, ...isolated];
let [passed, failed, skipped] = [0, 0, 0];
let wrong = false;
const complain = (text) => {
  console.log(text);
  wrong = true;
};

for (const suite of suites) {
  const file = join(directory, `${suite}.json`);
  if (!existsSync(file)) {
    failed++;
    complain(`${suite}: no report`);
    continue;
  }
  const report = JSON.parse(readFileSync(file, 'utf8'));
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, status, message, assertionResults } of report.testResults) {
    // A file that could not even be loaded has no tests.
    if (status === 'failed' && assertionResults.length === 0) {
      counts.failed++;
      complain(`${suite}: ${name}: ${message}`);
    }
    for (const test of assertionResults) {
      const title = test.fullName || test.title;
      if (test.status === 'passed') counts.passed++;
      else if (test.status === 'failed') {
        counts.failed++;
        complain(`${suite}: failed: ${title}`);
      } else {
        counts.skipped++;
        if (/\([^()]+\)$/.test(title)) console.log(`${suite}: skipped: ${title}`);
        else complain(`${suite}: skipped without a reason: ${title}`);
      }
    }
  }
  if (counts.passed + counts.failed === 0) complain(`${suite}: ran no test`);
  console.log(`${suite}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  passed += counts.passed;
  failed += counts.failed;
  skipped += counts.skipped;
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || wrong ? 1 : 0;
