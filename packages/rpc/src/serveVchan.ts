/**
 * Serves one client over a vchan that is open: an engine from its start to its end. It belongs to the fiber that runs it.
 */
import type { Vchan } from "@vchan/vchan"
import { Deferred, Effect } from "effect"
import type { CallFacts } from "./Contract.ts"
import { HandshakeTimeout, type VchanRpcError } from "./RpcError.ts"
import { ServerEngine, type ServerOptions } from "./ServerEngine.ts"

/** Serves one client over an open vchan, until it ends. */
export const serveVchan = (vchan: Vchan, options: ServerOptions, client: CallFacts["client"]): Effect.Effect<VchanRpcError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const engine = new ServerEngine(vchan, options, client)
      engine.session.open(engine)
      return engine
    }),
    (engine) => {
      const waitedMillis = options.helloTimeout
      const silence = Effect.sync(() => engine.session.refuse(new HandshakeTimeout({ waitedMillis })))
      return Deferred.await(engine.greeted).pipe(
        Effect.timeoutOrElse({ duration: waitedMillis, orElse: () => silence }),
        Effect.raceFirst(Deferred.await(engine.ended)),
        Effect.andThen(Deferred.await(engine.ended))
      )
    },
    (engine) => engine.close
  )
