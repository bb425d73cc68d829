/**
 * What clients of a store do, one step after the other, and how steps are made up.
 */
import type { DomId } from "@vchan/xen"
import * as fc from "fast-check"

/** The clients by their number: whose connection it is. Two of domain 0, which is privileged, and the third guest comes and goes. */
export const clients: ReadonlyArray<DomId> = [0, 0, 1, 2, 3]

/** The domain that comes and goes. */
export const visitor = 3

/** Small, so that a few steps come to their ends. */
export const quotas = { nodes: 10, watches: 3, transactions: 2, transactionNodes: 10, nodeSize: 96, permissions: 3 }

/** On nodes. */
const onNodes = ["READ", "DIRECTORY", "GET_PERMS", "MKDIR", "RM", "WRITE", "SET_PERMS"] as const

/** What a client asks for. */
type Asked = (typeof onNodes)[number] | "WATCH" | "UNWATCH" | "RESET_WATCHES" | "GET_DOMAIN_PATH" | "IS_DOMAIN_INTRODUCED"

/**
 * One step. A transaction is named by its place among those that its client has open, which are counted around; 0 is none, and -1 one that is not
 * there.
 */
export type Step =
  | {
    readonly _tag: "Ask"
    readonly client: number
    readonly asked: Asked
    readonly texts: ReadonlyArray<string>
    readonly transaction: number
  }
  | { readonly _tag: "Start"; readonly client: number; readonly transaction: number }
  | { readonly _tag: "End"; readonly client: number; readonly transaction: number; readonly verdict: string }
  /** The visitor comes, or goes. */
  | { readonly _tag: "Visit" }

const client = fc.constantFrom(0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4)

const transaction = fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, -1)

const name = fc.constantFrom("a", "a", "b", "c")

const start = fc.constantFrom(
  "/",
  "/",
  "/local/domain/1/data",
  "/local/domain/1/data",
  "/local/domain/1/data",
  "/local/domain/2/data",
  "/local/domain/3/data",
  "data",
  "data",
  "/local/domain/1"
)

const path = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.tuple(start, fc.array(name, { maxLength: 3 })).map(([start, names]) =>
      names.length === 0 ? start : [start === "/" ? "" : start, ...names].join("/")
    )
  },
  { weight: 1, arbitrary: fc.constantFrom("", "//", "/a/", "/a//b", "a b", "/local/domain", "/local/domain/3", "@releaseDomain") }
)

const value = fc.oneof(fc.constantFrom("", "v", "w"), fc.constant("x".repeat(60)), fc.constant("y".repeat(40)))

const permission = fc.tuple(fc.constantFrom("n", "r", "w", "b"), fc.constantFrom(0, 1, 2, 3)).map(([access, domid]) => `${access}${domid}`)

const permissions = fc.oneof(
  { weight: 9, arbitrary: fc.array(permission, { minLength: 1, maxLength: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom([], ["x1"], ["r1", "x1"]) }
)

const watched = fc.tuple(
  fc.oneof({ weight: 5, arbitrary: path }, { weight: 1, arbitrary: fc.constantFrom("@releaseDomain", "@introduceDomain") }),
  fc.constantFrom("t", "u")
)

const textsOf = (asked: (typeof onNodes)[number]): fc.Arbitrary<ReadonlyArray<string>> => {
  switch (asked) {
    case "WRITE":
      return fc.tuple(path, value)
    case "SET_PERMS":
      // The permissions of special watches are another matter, and xenstored does not bear it that the root's owner goes.
      return fc.tuple(path, permissions).map(([path, permissions]) => [
        path.replace("@", ""),
        ...permissions.map((permission) => path === "/" ? permission.replace("3", "2") : permission)
      ])
    default:
      return fc.tuple(path)
  }
}

const onNode = fc.constantFrom(...onNodes).chain((asked) =>
  fc.record({ _tag: fc.constant("Ask" as const), client, asked: fc.constant(asked), texts: textsOf(asked), transaction })
)

const ask = (asked: Asked, texts: fc.Arbitrary<ReadonlyArray<string>>) =>
  fc.record({ _tag: fc.constant("Ask" as const), client, asked: fc.constant(asked), texts, transaction: fc.constant(0) })

const domid = fc.constantFrom(["0"], ["1"], ["3"], ["7"])

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 40, arbitrary: onNode },
  { weight: 6, arbitrary: ask("WATCH", watched) },
  { weight: 2, arbitrary: ask("UNWATCH", watched) },
  { weight: 1, arbitrary: ask("RESET_WATCHES", fc.constant([""])) },
  { weight: 1, arbitrary: fc.oneof(ask("GET_DOMAIN_PATH", domid), ask("IS_DOMAIN_INTRODUCED", domid)) },
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Start" as const), client, transaction: fc.constantFrom(0, 0, 0, 0, 1) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("End" as const),
      client,
      transaction: fc.constantFrom(1, 1, 1, 1, 2, 3, 0, -1),
      verdict: fc.constantFrom("T", "T", "T", "T", "T", "T", "F", "x")
    })
  },
  { weight: 1, arbitrary: fc.constant({ _tag: "Visit" as const }) }
)

const permit = (path: string, ...permissions: ReadonlyArray<string>): Step => ({
  _tag: "Ask",
  client: 0,
  asked: "SET_PERMS",
  texts: [path, ...permissions],
  transaction: 0
})

/** How things are at first: each for itself, one guest open to all, or everything. */
const beginning = fc.constantFrom<ReadonlyArray<Step>>(
  [],
  [{ _tag: "Visit" }, permit("/local/domain/1/data", "n1", "b2", "r3")],
  [permit("/local/domain/1/data", "r1", "b2")],
  [permit("/", "b0"), { _tag: "Visit" }]
)

/** Steps one after the other. */
export const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.tuple(beginning, fc.array(step, { maxLength: 80, size: "max" })).map(
  ([beginning, steps]) => [...beginning, ...steps]
)
