import { storagev1 } from '@k8ts/api';
import {
  exceedsBytes,
  forbiddenField,
  invalidValue,
  nameIsDNSSubdomain,
  rangeMessage,
  required,
  tooLong,
  type FieldError,
} from '@k8ts/apimachinery';
import { volumeAttachmentColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { validateCsiDriverName } from '../core/pod-template/claim-spec.ts';
import { immutable, messages } from '../field-rules.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { dropStatus, keepField, statusStrategy } from '../strategy-parts.ts';
import { sizeOf } from './class-parameters.ts';

type VolumeAttachment = storagev1.VolumeAttachment;

const MAX_METADATA_SIZE = 256 * 1024;
const MAX_MESSAGE_LENGTH = 1024;
const ONE_SOURCE = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName';

const sameSpec = fieldComparison(storagev1.volumeAttachments, 'spec');

function validateSource(source: Partial<storagev1.VolumeAttachmentSource>): FieldError[] {
  const path = 'spec.source';
  const { inlineVolumeSpec: inline, persistentVolumeName: name } = source;
  if (inline === undefined && name === undefined) return [required(path, ONE_SOURCE)];
  if (inline !== undefined && name !== undefined) return [forbiddenField(path, ONE_SOURCE)];
  if (name === '')
    return [required(`${path}.persistentVolumeName`, 'must specify non empty persistentVolumeName')];
  return inline !== undefined && inline.csi === undefined
    ? [required(`${path}.inlineVolumeSpec.csi`, 'has to be specified in the context of inline volumes')]
    : [];
}

function validateProblem(error: storagev1.VolumeError | undefined, path: string): FieldError[] {
  const { message = '', errorCode = 0 } = error ?? {};
  return [
    // Upstream names the other limit in the message.
    ...(exceedsBytes(message, MAX_MESSAGE_LENGTH) ? [tooLong(`${path}.message`, MAX_METADATA_SIZE)] : []),
    ...(errorCode < 0 ? [invalidValue(`${path}.errorCode`, errorCode, rangeMessage(0, 2 ** 31 - 1))] : []),
  ];
}

function validate({ spec, status }: VolumeAttachment): FieldError[] {
  const source = (spec.source as storagev1.VolumeAttachmentSource | undefined) ?? {};
  const { nodeName = '' } = spec;
  const name = source.persistentVolumeName;
  return [
    ...validateCsiDriverName(spec.attacher ?? '', 'spec.attacher'),
    ...validateSource(source),
    ...messages(nameIsDNSSubdomain(nodeName, false), nodeName, 'spec.nodeName'),
    ...(sizeOf(status?.attachmentMetadata ?? {}) > MAX_METADATA_SIZE
      ? [tooLong('status.attachmentMetadata', MAX_METADATA_SIZE)]
      : []),
    ...validateProblem(status?.attachError, 'status.attachError'),
    ...validateProblem(status?.detachError, 'status.detachError'),
    ...(name === undefined
      ? []
      : messages(nameIsDNSSubdomain(name, false), name, 'spec.source.persistentVolumeName')),
  ];
}

function validateUpdate(attachment: VolumeAttachment, old: VolumeAttachment): FieldError[] {
  return [
    ...validate(attachment),
    ...immutable(attachment.spec, sameSpec(attachment.spec, old.spec), 'spec'),
  ];
}

export const volumeAttachmentStrategy: Strategy<VolumeAttachment> = {
  type: storagev1.volumeAttachments,
  prepareForCreate: dropStatus,
  prepareForUpdate: (attachment, old) => keepField(attachment, old, 'status'),
  validate,
  validateUpdate,
  subresources: { status: statusStrategy({ keepMetadata: true, validateUpdate }) },
  allowUnconditionalUpdate: false,
  columns: volumeAttachmentColumns,
};
