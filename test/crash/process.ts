/**
 * A process that may be killed at any moment, or survives another that was: a host, a domain that serves, or a domain that connects and gives
 * all a load. It does as its parent orders, and tells how it stands.
 */
import { VchanRpcClient, type VchanRpcError, VchanRpcServer } from "@vchan/rpc"
import { Listener, type Vchan, type VchanError } from "@vchan/vchan"
import type { Xen, XenStoreError } from "@vchan/xen"
import { EmulatedXen, HostServer } from "@vchan/xen-linux"
import { type Context, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import * as fs from "node:fs"
import { Places } from "./contract.ts"
import { areBytesAt, bytesAt } from "./places.ts"
import type { Order, Role, Standing, Word } from "./Telling.ts"

const say = (word: Word): void => void process.send?.(word)
const fault = (what: string): void => say({ _tag: "Fault", what })

const serverDomid = 1
const clientDomid = 2
const path = "data/bytes"
/** Longer than any time without a server: that none came is never why a client gives up. */
const timeout = "1 minute"

let state: Standing["state"] = "left"
let reasons: Array<string> = []
let reads: Array<number> = []
let open = 0
let running = 0
let hostless = false

type Failure = VchanError | VchanRpcError | XenStoreError

/** The innermost reason's tag. */
const tagOf = ({ reason }: Failure): string => "error" in reason ? tagOf(reason.error) : reason._tag

const endedBy = (error: Failure): Effect.Effect<void> =>
  Effect.sync(() => {
    const tag = tagOf(error)
    reasons.push(tag)
    if (tag === "HostLost") hostless = true
  })

/** A connection that is open, until the Scope ends. */
const opened = Effect.acquireRelease(Effect.sync(() => void open++), () => Effect.sync(() => void open--))

/** Writes and reads the bytes that tell their place, until the connection has ended in both directions. */
const exchange = (vchan: Vchan, written: string, heard: () => void): Effect.Effect<void> =>
  Effect.gen(function*() {
    const file = fs.openSync(written, "w")
    yield* Effect.addFinalizer(() => Effect.sync(() => fs.closeSync(file)))
    const told = new BigUint64Array(1)
    let sent = 0
    let read = 0
    const buffer = new Uint8Array(50_000)
    yield* opened
    const writing = Effect.suspend(() => {
      const length = 1 + sent % 9973
      return Effect.andThen(
        vchan.write(bytesAt(sent, length)),
        Effect.suspend(() => {
          sent += length
          told[0] = BigInt(sent)
          fs.writeSync(file, told, 0, 8, 0)
          return breath(length > 9000)
        })
      )
    })
    const reading = Effect.map(vchan.readInto(buffer), (length) => {
      if (!areBytesAt(read, buffer.subarray(0, length))) fault(`the ${length} bytes read from byte ${read} on are not those of that place`)
      read += length
      heard()
    })
    const ends = [writing, reading].map((side) => Effect.catch(Effect.forever(side), endedBy))
    yield* Effect.ensuring(Effect.all(ends, { concurrency: "unbounded" }), Effect.sync(() => void reads.push(read)))
  }).pipe(Effect.scoped)

/** Leaves some of the machine to processes that start, where it is time for that. */
const breath = (due: boolean): Effect.Effect<void> => due ? Effect.sleep("1 millis") : Effect.void

/** A handler that runs. */
const counted = Effect.acquireRelease(Effect.sync(() => void running++), () => Effect.sync(() => void running--))

const handlers = Places.toLayer({
  Bytes: ({ from, length }) => Effect.scoped(Effect.as(counted, bytesAt(from, length))),
  Numbers: () =>
    Stream.unwrap(Effect.as(
      counted,
      Stream.fromIterable((function*() {
        for (let n = 0;; n++) yield n
      })())
    )).pipe(Stream.scoped)
})

const serve = (written: string) =>
  Effect.gen(function*() {
    const listener = yield* Listener.make({
      path,
      clients: [clientDomid],
      leftMin: 16_384,
      rightMin: 16_384,
      handler: (vchan) => exchange(vchan, written, () => {})
    })
    const served = VchanRpcServer.layer(Places, { service: "places", clients: "any", grace: "10 millis" })
    yield* Layer.build(Layer.provide(served, handlers))
    state = "up"
    yield* Effect.flatMap(listener.ended, endedBy)
  })

const call = (heard: () => void) =>
  Effect.gen(function*() {
    const places = yield* VchanRpcClient.make(Places, { domain: serverDomid, service: "places", reconnect: false, timeout })
    yield* opened
    let from = 0
    const asking = Effect.suspend(() => {
      const at = from
      const length = 1 + at % 30_011
      from += length
      return Effect.flatMap(places.Bytes({ from: at, length }), (bytes) => {
        if (bytes.length !== length || !areBytesAt(at, bytes)) fault(`the reply to Bytes from ${at} on is another's`)
        heard()
        return breath(length > 20_000)
      })
    })
    let next = 0
    const counting = Stream.runForEach(places.Numbers(), (number) =>
      Effect.suspend(() => {
        if (number !== next++) fault(`${number} came from Numbers, where ${next - 1} was due`)
        return breath(next % 1000 === 0)
      }))
    const ends = [...Array.from({ length: 3 }, () => Effect.forever(asking)), counting].map((load) => Effect.catch(load, endedBy))
    yield* Effect.all(ends, { concurrency: "unbounded" })
  })

/** Connects, and connects again when the connection has ended, until the host is gone. */
const load = (written: string) =>
  Effect.suspend(() => {
    const heard = new Set<string>()
    const lasting = <R>(what: string, connection: (hear: () => void) => Effect.Effect<void, Failure, R | Scope.Scope>) =>
      Effect.gen(function*() {
        yield* Effect.catch(
          Effect.scoped(connection(() => {
            if (heard.add(what).size === 2) state = "up"
          })),
          endedBy
        )
        heard.delete(what)
        state = "rising"
      }).pipe(Effect.repeat({ while: () => !hostless }))
    const bytes = lasting(
      "bytes",
      (hear) => Effect.flatMap(Listener.connect({ domid: serverDomid, path, timeout }), (vchan) => exchange(vchan, written, hear))
    )
    return Effect.all([bytes, lasting("calls", call)], { concurrency: "unbounded" })
  })

/** The orders of a process with a role. */
const orderly = (role: Role, directory: string, written: string) => {
  const domid = role === "server" ? serverDomid : clientDomid
  let joined: { readonly scope: Scope.Closeable; readonly xen: Context.Context<Xen> } | undefined
  let rising: Fiber.Fiber<void> | undefined

  const join = Effect.gen(function*() {
    if (joined !== undefined) return joined
    const scope = yield* Scope.make()
    const xen = yield* Layer.build(EmulatedXen.layer({ directory, domid })).pipe(
      Scope.provide(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
    return joined = { scope, xen }
  })

  const rise = Effect.gen(function*() {
    state = "rising"
    hostless = false
    const { xen } = yield* join
    yield* (role === "server" ? serve(written) : load(written)).pipe(Effect.scoped, Effect.provideContext(xen))
  }).pipe(
    Effect.catch(endedBy),
    Effect.catchDefect((defect) => Effect.sync(() => fault(String(defect)))),
    Effect.andThen(Effect.sync(() => void (state = "ended")))
  )

  const leave = Effect.gen(function*() {
    if (rising !== undefined) yield* Fiber.interrupt(rising)
    if (joined !== undefined) yield* Scope.close(joined.scope, Exit.void)
    joined = undefined
    state = "left"
  })

  return {
    rise: () => void (rising = Effect.runFork(rise)),
    leave: () => void Effect.runFork(leave)
  }
}

const host = (directory: string) =>
  HostServer.make({ directory }).pipe(
    Effect.tap(() => Effect.sync(() => void (state = "up"))),
    Effect.andThen(Effect.never),
    Effect.scoped
  )

let orders: ReturnType<typeof orderly> | undefined

process.on("message", (order: Order) => {
  switch (order._tag) {
    case "Be":
      if (order.role === "host") Effect.runFork(host(order.directory))
      else orders = orderly(order.role, order.directory, order.written)
      return
    case "Rise":
      return orders?.rise()
    case "Leave":
      return orders?.leave()
    case "Forget":
      reasons = []
      reads = []
      return
    case "Tell":
      return say({ _tag: "Standing", standing: { state, reasons, open, running, reads } })
  }
})
process.on("disconnect", () => process.exit())
say({ _tag: "Ready" })
