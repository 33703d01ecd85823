/** What the value of every key says about the commit that wrote it. */
export interface CommitMark {
  readonly id: string;
  /** At least one, so that every commit changes something. */
  readonly puts: readonly string[];
  /** Gone after the commit, whether they were there before or not. */
  readonly deletes: readonly string[];
}

/** What the writer prints. */
export type Acknowledged =
  | {
      readonly type: 'commit';
      readonly revision: number;
      readonly mark: CommitMark;
    }
  | { readonly type: 'lease'; readonly id: string };
