/**
 * The cases, in the order in which they run, those of a batch at once. The last ones cost a domain its life, and xenstored slows down a guest
 * for a while after it has run a suite.
 */
import { Array, Result } from "effect"
import { contracts } from "./cases/contracts.ts"
import { destruction, pauses, saving } from "./cases/domains.ts"
import { basics, interop } from "./cases/exchange.ts"
import { clients, ending } from "./cases/lives.ts"
import { admission, calls, proxy, services } from "./cases/services.ts"
import { speed } from "./cases/speed.ts"
import type { Case } from "./World.ts"

type Cases = ReadonlyArray<Case>

const onXenAlone = (cases: Cases): Cases => cases.map((each) => ({ ...each, onXenAlone: true }))

/** Three at once: they wait for each other's programs to start and for XenStore more than they compute. */
const together = (least: number): Cases => [
  ...basics,
  ...clients,
  ...ending,
  ...calls,
  ...admission,
  ...onXenAlone(proxy),
  ...interop(least)
]

const [grantTable, otherContracts] = Array.partition(
  onXenAlone(contracts),
  (each) => each.name.includes("GrantTable") ? Result.succeed(each) : Result.fail(each)
)

const batches = (least: number): ReadonlyArray<Cases> => [
  // First: of pages whose owner lets go before its peer, Linux takes back ten a second, and the suite waits for one such page.
  grantTable,
  ...Array.chunksOf(together(least), 3),
  // These start several programs with the patience of everyday, or measure, or keep a domain from running.
  ...Array.chunksOf(onXenAlone([...services, ...speed, ...pauses]), 1),
  // In each domain one: they take what is the domain's.
  ...Array.chunksOf(otherContracts, 2),
  ...Array.chunksOf([...destruction, ...onXenAlone(saving)], 1)
]

/** The batches, with the cases whose names contain a text, or all of them; `least` is how many MiB each pair of orders passes at least. */
export const batchesWith = (text: string, least = 0): ReadonlyArray<Cases> =>
  batches(least).map((batch) => batch.filter(({ name }) => name.includes(text))).filter((batch) => batch.length > 0)

/** The same cases without regard to what runs at once. */
export const casesWith = (text: string, least = 0): Cases => batchesWith(text, least).flat()
