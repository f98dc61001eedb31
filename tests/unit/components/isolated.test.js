/** Text from outside in attributes. */
import { expect, test } from "bun:test";
import { isolated } from "../../../realtime_ui/components/isolated.js";

test("a name stands between the first-strong isolate and its end, whatever its direction", () => {
  expect(isolated("max")).toBe("\u2068max\u2069");
  expect(`Close ${isolated("אבג")}'s connection`).toBe("Close \u2068אבג\u2069's connection");
});

test("where there is no text, there is no mark either", () => {
  expect(isolated("")).toBe("");
  expect(isolated(undefined)).toBe("");
});
