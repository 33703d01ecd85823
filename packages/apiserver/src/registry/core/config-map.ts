import { corev1 } from '@k8ts/api';
import {
  forbiddenField,
  isConfigMapKey,
  invalidValue,
  key,
  tooLong,
  type FieldError,
} from '@k8ts/apimachinery';
import { configMapColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';
import { base64Length, byteLength, MAX_DATA_SIZE, messages } from '../field-rules.ts';
import { fieldComparison } from '../semantic-equal.ts';

type ConfigMap = corev1.ConfigMap;

const IMMUTABLE = 'field is immutable when `immutable` is set';
const sameData = fieldComparison(corev1.configMaps, 'data');
const sameBinaryData = fieldComparison(corev1.configMaps, 'binaryData');

function validate({ data = {}, binaryData = {} }: ConfigMap): FieldError[] {
  const errors: FieldError[] = [];
  let size = 0;
  for (const [name, value] of Object.entries(data)) {
    errors.push(...messages(isConfigMapKey(name), name, key('data', name)));
    if (Object.hasOwn(binaryData, name))
      errors.push(invalidValue(key('data', name), name, 'duplicate of key present in binaryData'));
    size += byteLength(value);
  }
  for (const [name, value] of Object.entries(binaryData)) {
    errors.push(...messages(isConfigMapKey(name), name, key('binaryData', name)));
    size += base64Length(value);
  }
  if (size > MAX_DATA_SIZE) errors.push(tooLong('[]', MAX_DATA_SIZE));
  return errors;
}

export const configMapStrategy: Strategy<ConfigMap> = {
  type: corev1.configMaps,
  validate,
  validateUpdate(configMap, old) {
    const errors: FieldError[] = [];
    if (old.immutable === true) {
      if (configMap.immutable !== true) errors.push(forbiddenField('immutable', IMMUTABLE));
      if (!sameData(configMap.data, old.data)) errors.push(forbiddenField('data', IMMUTABLE));
      if (!sameBinaryData(configMap.binaryData, old.binaryData))
        errors.push(forbiddenField('binaryData', IMMUTABLE));
    }
    return [...errors, ...validate(configMap)];
  },
  columns: configMapColumns,
};
