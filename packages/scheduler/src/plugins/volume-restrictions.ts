import type { Plugin } from '../contract.ts';

const IN_USE =
  'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod';

/** A claim that is for one pod only is not given to a second one (pkg/scheduler/framework/plugins/volumerestrictions). */
export const volumeRestrictions: Plugin = {
  name: 'VolumeRestrictions',
  retryOn: ['AssignedPodDeleted', 'VolumeChanged', 'NodeAdded', 'NodeChanged'],
  classKey: (pod, { volumes }) => volumes.keyOf(pod),
  forClass(pod, { volumes, claimUsers }) {
    const claims = volumes.onePodClaims(pod);
    if (claims.length === 0) return undefined;
    let isUsed = false;
    const look = (): void => {
      isUsed = claims.some((claim) => claimUsers.has(claim));
    };
    return {
      acrossNodes: {
        begin: look,
        recount: look,
        filter: () => (isUsed ? IN_USE : undefined),
      },
    };
  },
};
