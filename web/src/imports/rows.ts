// The rows of an import: which are shown, and what a change of one does to others. Pure.
import {
  type Import,
  ImportState_Value as ImportState,
  type ImportRow,
  RowStatus_Value as RowStatus,
} from "../gen/tap/v1/imports_pb";

export const ROWS_OF_A_PAGE = 50;

export interface Filter {
  status: RowStatus;
  // Empty: any.
  reason: string;
}

// Whether an import goes on by itself.
export function inTheWay(state: ImportState): boolean {
  return state === ImportState.UPLOADING || state === ImportState.CHECKING || state === ImportState.COMMITTING;
}

// Whether its rows can be listed. What is known from the store only has none.
export function hasRows({ state, filename, counts }: Pick<Import, "state" | "filename" | "counts">): boolean {
  return state === ImportState.READY || (state === ImportState.COMMITTED && filename !== "" && (counts?.total ?? 0) > 0);
}

// What somebody who opens an import looks at first: what there is to mend.
export function firstFilter({ state, counts }: Pick<Import, "state" | "counts">): Filter {
  const bad = state === ImportState.READY && (counts?.invalid ?? 0) > 0;
  return { status: bad ? RowStatus.INVALID : RowStatus.ANY, reason: "" };
}

// How many rows meet a filter, as far as that is known.
export function countOf({ counts, faults }: Pick<Import, "counts" | "faults">, { status, reason }: Filter): number | undefined {
  if (reason !== "") {
    const some = faults.filter((fault) => fault.reason === reason);
    // One row may have the same fault in two columns.
    return status === RowStatus.ANY && some.length === 1 ? some[0]?.rows : undefined;
  }
  switch (status) {
    case RowStatus.VALID:
      return counts?.valid;
    case RowStatus.INVALID:
      return counts?.invalid;
    case RowStatus.DUPLICATE:
      return counts?.duplicate;
    case RowStatus.SKIPPED:
      return counts?.skipped;
    case RowStatus.WARNED:
      return counts?.warned;
    default:
      return counts?.total;
  }
}

// Whether a row has to do with others, so that these follow from a change of it.
export function moves({ status, violations }: Pick<ImportRow, "status" | "violations">): boolean {
  return status === RowStatus.DUPLICATE || violations.some(({ reason }) => reason.includes("DUPLICATE"));
}

// The rows that are shown, as they are found to be now. Those that are not found do not meet the filter any more, but
// for the one that was changed; and what was not shown does not come in between.
export function merged(shown: ImportRow[], found: ImportRow[], changed: number): ImportRow[] {
  const now = new Map(found.map((row) => [row.row, row]));
  return shown.flatMap((row) => now.get(row.row) ?? (row.row === changed ? [row] : []));
}
