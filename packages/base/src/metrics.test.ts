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
  expect(text).toContain('seconds_bucket{le="+Inf"} 1');
  expect(text).toContain('seconds_sum 0.5');
  expect(text).toContain('seconds_count 1');
  expect(await createMetrics().text()).not.toContain('requests_total');
});

test('what has labels is there once it was used, what has none from the start', async () => {
  const metrics = createMetrics();
  metrics.counter({ name: 'a_total', help: 'A.' });
  const b = metrics.histogram({ name: 'b', help: 'B "and" more.', labels: ['x', 'y'], buckets: [1, 2] });
  expect(await metrics.text()).toBe(
    '# HELP a_total A.\n# TYPE a_total counter\na_total 0\n\n# HELP b B "and" more.\n# TYPE b histogram\n',
  );
  b.observe(2, ['1', 'a"b\\c\n']);
  b.observe(3, ['1', 'a"b\\c\n']);
  expect((await metrics.text()).split('\n').slice(-6, -1)).toEqual([
    String.raw`b_bucket{le="1",x="1",y="a\"b\\c\n"} 0`,
    String.raw`b_bucket{le="2",x="1",y="a\"b\\c\n"} 1`,
    String.raw`b_bucket{le="+Inf",x="1",y="a\"b\\c\n"} 2`,
    String.raw`b_sum{x="1",y="a\"b\\c\n"} 5`,
    String.raw`b_count{x="1",y="a\"b\\c\n"} 2`,
  ]);
  expect(() => b.observe(1, ['1'])).toThrow('1 label values for 2 labels: x,y');
});
