/** The shape of `packages/api/data/facts/*.json`: what is known of the wire types of one group version. */
export interface PackageFacts {
  /** The name the types are exported under, Go's import alias: `corev1`. */
  readonly namespace: string;
  /** The file name without extension: `core-v1`. */
  readonly file: string;
  readonly group: string;
  readonly version: string;
  /** What OpenAPI puts before a type's name: `io.k8s.api.core.v1`. */
  readonly openapi: string;
  readonly types: Readonly<Record<string, TypeFacts>>;
}

/** A struct has `fields`; a named scalar, list, map or alias has `base`. */
export interface TypeFacts {
  readonly fields?: readonly FieldFacts[];
  readonly base?: string;
  /** The known values of a named string; `closed` when no others are allowed. */
  readonly enum?: readonly string[];
  readonly closed?: boolean;
  readonly structType?: 'atomic' | 'granular';
  /** Protobuf makes a message of this named list. */
  readonly protoWrapped?: boolean;
  /** `+genclient`: the API serves it as a resource. */
  readonly resource?: ResourceFacts;
  /** The versions of Kubernetes that began, discouraged and ended serving the kind, and what replaces it. */
  readonly lifecycle?: Readonly<Record<string, string>>;
}

export interface ResourceFacts {
  readonly namespaced: boolean;
  readonly noVerbs?: boolean;
  readonly onlyVerbs?: readonly string[];
  readonly skipVerbs?: readonly string[];
  /** Methods on subresources as `verb/subresource`. */
  readonly methods?: readonly string[];
}

/**
 * Types are written as in Go with packages resolved: `[]Container`, `map[string]wire.Quantity`, `*metav1.LabelSelector`.
 * `wire.X` are the scalars of `packages/api/src/wire.ts`.
 */
export interface FieldFacts {
  /** JSON name; absent for an embedded struct. */
  readonly name?: string;
  readonly type: string;
  readonly proto?: number;
  readonly optional?: boolean;
  readonly omitempty?: boolean;
  /** `+required`: demanded although it says omitempty. */
  readonly required?: boolean;
  readonly listType?: string;
  readonly listMapKeys?: readonly string[];
  readonly mapType?: string;
  readonly patchStrategy?: readonly string[];
  readonly patchMergeKey?: string;
  readonly default?: unknown;
  readonly immutable?: boolean;
  readonly featureGate?: string;
}
