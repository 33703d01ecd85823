// The demo's three parts in one file: which one runs is said by the first argument.
//   web       the page, on 8080: shows the entries and takes new ones
//   entries   keeps the entries, on 8081, in memory
//   clock     tells the time, on 8082; the page shows it and which pod said so
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const parts = { web, entries, clock };
const part = process.argv[2] ?? 'web';
if (!(part in parts)) {
  console.error(`unknown part ${part}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
parts[part]();

function entries() {
  const kept = [];
  serve(8081, async (request) => {
    if (request.method === 'POST') {
      kept.push((await body(request)).slice(0, 200));
      if (kept.length > 100) kept.shift();
    }
    return { pod: hostname(), entries: kept };
  });
}

function clock() {
  serve(8082, async () => ({ pod: hostname(), time: new Date().toISOString() }));
}

function web() {
  // Other Services are found by their names; the cluster's DNS answers for them.
  const fromService = async (url, options) =>
    (await fetch(url, { ...options, signal: AbortSignal.timeout(3000) })).json();
  serve(8080, async (request) => {
    if (request.method === 'POST')
      return fromService('http://entries/', { method: 'POST', body: await body(request) });
    const [time, book] = await Promise.all([fromService('http://clock/'), fromService('http://entries/')]);
    return { greeting: process.env.GREETING ?? 'Hello', pod: hostname(), time, book };
  });
}

function serve(port, answer) {
  const server = createServer((request, response) => {
    if (request.url === '/healthz') return response.end('ok\n');
    answer(request).then(
      (value) => {
        response.setHeader('content-type', 'application/json');
        response.end(`${JSON.stringify(value, null, 2)}\n`);
      },
      (error) => {
        response.statusCode = 502;
        response.end(`${error.cause?.message ?? error.message}\n`);
      },
    );
    console.log(`${request.method} ${request.url}`);
  });
  server.listen(port, () => console.log(`listening on ${port}`));
  // Ends at once when the pod is stopped, after the answers under way.
  process.on('SIGTERM', () => {
    console.log('stopping');
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

async function body(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 1000) break;
  }
  return text;
}
