// Counts put on top of one another, for a chart. Pure.

// For each group the height that it reaches in each place: its own count and those of the groups before it.
// Nothing from `past` on, which has not begun. With `gaps` also nothing where a group has none itself.
export function stack(groups: { counts: number[] }[], past: number, places: number, gaps: boolean): (number | null)[][] {
  const reached = Array.from({ length: places }, () => 0);
  return groups.map(({ counts }) =>
    reached.map((before, place) => {
      if (place >= past) return null;
      const own = counts[place] ?? 0;
      reached[place] = before + own;
      return gaps && own === 0 ? null : before + own;
    }),
  );
}
