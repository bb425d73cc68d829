/**
 * All scenarios of the hostile peer.
 */
import { emulated, memory } from "../conformance/backends.ts"
import { hostileDescriptions } from "./descriptions.ts"
import { hostileAnswerers, hostileCallers } from "./frameScenarios.ts"
import { hostileClients, hostileServers } from "./pages.ts"
import { parallelClients } from "./parallel.ts"
import { hostileRequests } from "./requests.ts"
import type { Scenario } from "./Scenario.ts"
import { hostileProcesses } from "./sockets.ts"

export const scenarios: ReadonlyArray<Scenario> = [
  hostileClients(memory),
  hostileClients(emulated),
  hostileServers(memory),
  hostileServers(emulated),
  hostileCallers(memory),
  hostileCallers(emulated),
  hostileAnswerers(memory),
  hostileAnswerers(emulated),
  hostileDescriptions(memory),
  hostileProcesses,
  hostileRequests(memory),
  hostileRequests(emulated),
  parallelClients
]
