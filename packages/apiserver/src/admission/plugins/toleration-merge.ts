import type { corev1 } from '@k8ts/api';

type Toleration = corev1.Toleration;

/** Of two tolerations one of which allows all that the other does, the wider one is kept; of equals, the first. */
export function mergeTolerations(first: readonly Toleration[], second: readonly Toleration[]): Toleration[] {
  const all = [...first, ...second];
  const merged: Toleration[] = [];
  all.forEach((toleration, i) => {
    const isCovered =
      merged.some((kept) => covers(kept, toleration)) ||
      all.slice(i + 1).some((later) => covers(later, toleration) && !covers(toleration, later));
    if (!isCovered) merged.push(toleration);
  });
  return merged;
}

/** Whether all that `narrow` tolerates is tolerated by `wide`. */
export function covers(wide: Toleration, narrow: Toleration): boolean {
  const isExists = wide.operator === 'Exists';
  if ((wide.key ?? '') !== (narrow.key ?? '') && !((wide.key ?? '') === '' && isExists)) return false;
  if ((wide.effect ?? '') !== (narrow.effect ?? '') && (wide.effect ?? '') !== '') return false;
  if (wide.effect === 'NoExecute' && wide.tolerationSeconds !== undefined) {
    const seconds = narrow.tolerationSeconds ?? Infinity;
    if (seconds > wide.tolerationSeconds) return false;
  }
  if (isExists) return true;
  return (
    (wide.operator ?? 'Equal') === (narrow.operator ?? 'Equal') && (wide.value ?? '') === (narrow.value ?? '')
  );
}
