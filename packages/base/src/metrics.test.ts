import { expect, test } from 'vitest';
import { createMetrics } from './metrics.ts';

test('metrics are written in the Prometheus text format, each registry for itself', async () => {
  const metrics = createMetrics();
  const requests = metrics.counter({ name: 'requests_total', help: 'Requests.', labels: ['verb', 'code'] });
  requests.increment(['GET', '200']);
  requests.increment(['GET', '200'], 2);
  metrics.gauge({ name: 'depth', help: 'Depth.' }).set(4);
  metrics.gauge({ name: 'depth', help: 'Depth.' }).add(-1); // the same metric
  metrics.histogram({ name: 'seconds', help: 'Time.', buckets: [0.1, 1] }).observe(0.5);
  const text = await metrics.text();
  expect(text).toContain('requests_total{verb="GET",code="200"} 3');
  expect(text).toContain('depth 3');
  expect(text).toContain('seconds_bucket{le="0.1"} 0');
  expect(text).toContain('seconds_bucket{le="1"} 1');
  expect(await createMetrics().text()).not.toContain('requests_total');
});
