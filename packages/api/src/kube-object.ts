import type { ListMeta, ObjectMeta } from './generated/meta-v1.ts';

/** What every object of the API has. apiVersion and kind are absent inside lists. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

export interface KubeList<T> {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ListMeta;
  readonly items: readonly T[];
}

/** An object to be created: it may leave its name to the server (`generateName`). */
export type New<T extends { readonly metadata: ObjectMeta }> = Omit<T, 'metadata'> & {
  readonly metadata: Partial<ObjectMeta>;
};

/** `T` for building: nothing is readonly, at any depth. Objects that others hold are never changed; copy first. */
export type Draft<T> = unknown extends T
  ? T
  : T extends string | number | boolean | null | undefined
    ? T
    : T extends readonly (infer Item)[]
      ? Draft<Item>[]
      : { -readonly [Key in keyof T]: Draft<T[Key]> };
