/**
 * The cases, in the order in which they run. The last ones cost a domain its life, and xenstored
 * slows down a guest for a while after it has run a suite.
 */
import { contracts } from "./cases/contracts.ts"
import { destruction, pauses } from "./cases/domains.ts"
import { basics, interop } from "./cases/exchange.ts"
import { clients, ending } from "./cases/lives.ts"
import { admission, proxy, services } from "./cases/services.ts"
import { speed } from "./cases/speed.ts"
import type { Case } from "./World.ts"

const onXenAlone = (cases: ReadonlyArray<Case>): ReadonlyArray<Case> => cases.map((each) => ({ ...each, onXenAlone: true }))

const all: ReadonlyArray<Case> = [
  ...basics,
  ...clients,
  ...ending,
  ...onXenAlone(services),
  ...admission,
  ...onXenAlone(proxy),
  ...interop,
  ...onXenAlone([...speed, ...pauses, ...contracts]),
  ...destruction
]

/** Those whose names contain a text, or all of them. */
export const casesWith = (text: string): ReadonlyArray<Case> => all.filter(({ name }) => name.includes(text))
