import type { corev1 } from '@k8ts/api';

import { compareQuantities, scaledQuantity, type ParsedQuantity } from '../quantity.ts';
import { quantityOf, type Amounts } from '../resource-amounts.ts';
import type { QuotaEvaluator } from './contract.ts';
import { matchesValues } from './matching.ts';
import { objectCountName, ONE } from './object-counts.ts';

type Claim = corev1.PersistentVolumeClaim;

const COUNT = objectCountName('', 'persistentvolumeclaims');
const CLAIMS = 'persistentvolumeclaims';
const STORAGE = 'requests.storage';
/** `gold.storageclass.storage.k8s.io/requests.storage` is what the claims of class `gold` request. */
const OF_CLASS = '.storageclass.storage.k8s.io/';
const BETA_CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';

export const persistentVolumeClaimEvaluator: QuotaEvaluator = {
  group: '',
  resource: 'persistentvolumeclaims',
  readsObjects: true,
  counts: (name) =>
    name === COUNT ||
    name === CLAIMS ||
    name === STORAGE ||
    name.endsWith(OF_CLASS + CLAIMS) ||
    name.endsWith(OF_CLASS + STORAGE),
  handles({ subresource, operation, object, oldObject }) {
    if (subresource === '') return true;
    if (subresource !== 'status' || operation !== 'UPDATE') return false;
    const [claim, old] = [object as Claim, oldObject as Claim];
    return (
      claim.status?.allocatedResources?.['storage'] !== old.status?.allocatedResources?.['storage'] ||
      attributesClasses(claim).join() !== attributesClasses(old).join()
    );
  },
  usage(object) {
    const claim = object as Claim;
    const className =
      claim.metadata.annotations?.[BETA_CLASS_ANNOTATION] ?? claim.spec?.storageClassName ?? '';
    const usage: Amounts = new Map([
      [CLAIMS, ONE],
      [COUNT, ONE],
    ]);
    if (className !== '') usage.set(className + OF_CLASS + CLAIMS, ONE);
    const storage = storageOf(claim);
    if (storage !== undefined) {
      usage.set(STORAGE, storage);
      if (className !== '') usage.set(className + OF_CLASS + STORAGE, storage);
    }
    return usage;
  },
  matchesScope: (requirement, object) =>
    requirement.scopeName === 'VolumeAttributesClass' &&
    matchesValues(requirement, attributesClasses(object as Claim)),
};

/** What is requested, or what an expansion that failed has allocated already, if that is more; in whole bytes. */
function storageOf({ spec, status }: Claim): ParsedQuantity | undefined {
  const request = spec?.resources?.requests?.['storage'];
  if (request === undefined) return undefined;
  const requested = quantityOf(request);
  const allocated = quantityOf(status?.allocatedResources?.['storage']);
  return wholeBytes(compareQuantities(allocated, requested) > 0 ? allocated : requested);
}

function wholeBytes(quantity: ParsedQuantity): ParsedQuantity {
  if (quantity.scale >= 0) return quantity;
  const mantissa = scaledQuantity(quantity, 0);
  const exact = mantissa * 10n ** BigInt(-quantity.scale) === quantity.mantissa;
  return exact ? quantity : { mantissa, scale: 0, format: quantity.format, text: '' };
}

/** Wanted, in force and on the way. */
function attributesClasses({ spec, status }: Claim): readonly string[] {
  const names = [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ].filter((name) => name !== undefined && name !== '');
  return [...new Set(names as string[])].sort();
}
