import { describe, expect, it } from 'vitest';

import { podName } from '../pod/pod-spec.ts';
import { testPod } from '../testing/pods.ts';
import { StaticPods } from './static-pods.ts';

describe('the static pods of a node', () => {
  const pod = (name: string, uid: string) => testPod({}, { name, uid, namespace: 'kube-system' });

  it('are those of the newest manifests', () => {
    const pods = new StaticPods();
    const names = () => pods.list().map(podName);
    const [dns, proxy, changed] = [pod('dns', '1'), pod('proxy', '2'), pod('proxy', '3')];
    expect(pods.replace([dns, proxy])).toEqual({ added: [dns, proxy], removed: [] });
    expect(pods.replace([pod('dns', '1'), changed])).toEqual({ added: [changed], removed: [proxy] });
    expect(names()).toEqual(['dns', 'proxy']);
    expect(pods.find('kube-system', 'dns')).toBe(dns); // the one that was there first
    expect(pods.find('kube-system', 'proxy')).toBe(changed);
    expect(pods.find('default', 'proxy')).toBeUndefined();
    expect(pods.replace([])).toEqual({ added: [], removed: [dns, changed] });
    expect(names()).toEqual([]);
  });
});
