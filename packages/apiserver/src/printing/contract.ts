import type { KubeObject } from '@k8ts/api';

/** A column of server-side printing (meta/v1 TableColumnDefinition) and how its cell is made. */
export interface Column<T extends KubeObject> {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: 'name';
  readonly description: string;
  /** 0: always shown; 1: with `-o wide`. */
  readonly priority: number;
  /** `now`, in wall-clock milliseconds, is what ages count from. */
  readonly cell: (object: T, now: number) => string | number | boolean | null;
}

/** What a row says beside its cells (meta/v1 TableRowCondition). */
export interface TableRowCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

/** What a kind says about printing its objects. */
export interface Printing<T extends KubeObject> {
  /** Absent: NAME and CREATED AT. */
  readonly columns?: readonly Column<T>[];
  readonly rowConditions?: (object: T) => readonly TableRowCondition[] | undefined;
}
