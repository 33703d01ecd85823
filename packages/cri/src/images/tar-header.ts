import type { Header } from 'tar-stream';

/** An entry of a tar archive to write; `pax` are the records of its extended header. */
export type TarHeader = Partial<Omit<Header, 'name' | 'pax'>> & {
  readonly name: string;
  readonly pax?: Readonly<Record<string, string>>;
};
