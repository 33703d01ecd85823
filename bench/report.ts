export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** One JSON line for each figure, which `npm run bench` gathers into its table. */
export function report(figures: readonly Figure[]): void {
  for (const figure of figures) console.log(JSON.stringify(figure));
}
