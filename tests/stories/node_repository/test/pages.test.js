import assert from "node:assert/strict";
import { test } from "node:test";

import { pageCount, pageOf } from "../src/pages.js";

test("full pages are counted", () => {
  assert.equal(pageCount(40, 20), 2);
});

test("an empty list has one page", () => {
  assert.equal(pageCount(0, 20), 1);
});

test("a page holds its items", () => {
  assert.deepEqual(pageOf(["a", "b", "c", "d"], 2, 2), ["c", "d"]);
});

test("a page of no items is refused", () => {
  assert.throws(() => pageCount(10, 0), RangeError);
});
