/**
 * A reporter of Node's test runner: how each test went, in pages that fit in one answer of the bench's agent, after the suites' end.
 */
import type { TestEvent } from "node:test/reporters"

/** An answer is a value in XenStore, which holds 2048 bytes. */
const room = 1200

export default async function*(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const pages: Array<string> = []
  for await (const { data, type } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue
    // A suite that failed has a test that did.
    if (data.details.type === "suite") continue
    const line = (type === "test:fail"
      ? `failed ${data.name}: ${data.details.error.cause ?? data.details.error.message}`
      : data.skip === undefined
      ? `ok ${data.name}`
      : `SKIP ${data.name}: ${data.skip}`).replaceAll(/\s*[|\n]\s*/g, " ").slice(0, 400)
    const last = pages.at(-1)
    if (last === undefined || last.length + line.length > room) pages.push(line)
    else pages[pages.length - 1] = `${last} | ${line}`
  }
  for (const [index, page] of pages.entries()) yield `page ${index + 1} ${page}\n`
  yield `pages ${pages.length}\n`
}
