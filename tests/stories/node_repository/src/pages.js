/** How many pages a list of `total` items has. */
export function pageCount(total, size) {
  if (!Number.isInteger(size) || size < 1) {
    throw new RangeError(`a page holds at least one item, not ${size}`);
  }
  return Math.max(1, Math.floor(total / size));
}

/** The items of one page, counted from 1; pages outside the list are empty. */
export function pageOf(items, page, size) {
  if (page < 1 || page > pageCount(items.length, size)) {
    return [];
  }
  return items.slice((page - 1) * size, page * size);
}
