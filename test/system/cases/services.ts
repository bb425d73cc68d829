/**
 * The typed example, the listener's admission, and a program of Debian's at the other end.
 */
import { Effect } from "effect"
import { crc32 } from "node:zlib"
import { ask, type Case, type Domain, ends, expect, meeting, type World } from "../World.ts"

const echoExample = (world: World, server: "dom0" | "one" | "two", callers: ReadonlyArray<"dom0" | "one" | "two">) =>
  Effect.gen(function*() {
    const guest = yield* world[server].start(["node", "/bench/echo-guest.js"])
    yield* expect("the guest", yield* guest.said(`domain ${world[server].domid} serves`), "echo")
    yield* Effect.forEach(callers, (caller) =>
      Effect.gen(function*() {
        const client = yield* world[caller].start(["node", "/bench/echo-client.js", String(world[server].domid)])
        yield* expect("the greeting", yield* client.said("domain"), `${world[caller].domid} said hello`)
        for (const line of ["counted 1", "counted 2", "counted 3", "HELLO was too loud", "waited long enough"]) yield* client.said(line)
        yield* ends("the client", client)
      }), { concurrency: "unbounded" })
    yield* guest.said("Wait was interrupted")
  })

export const services: ReadonlyArray<Case> = [
  { name: "the typed echo example, unchanged, between two unprivileged guests", run: (world) => echoExample(world, "one", ["two"]) },
  { name: "the typed echo example, unchanged, from a guest to dom0", run: (world) => echoExample(world, "dom0", ["one"]) },
  {
    name: "the typed echo example, unchanged, from dom0 and a guest to a guest at once",
    run: (world) => echoExample(world, "two", ["dom0", "one"])
  },
  {
    name: "a client goes on when its server was killed and is started again",
    run: Effect.fnUntraced(function*({ one, two }) {
      const serve = Effect.tap(one.start(["node", "/bench/restarting.js"]), ({ said }) => said("ready"))
      let server = yield* serve
      const client = yield* two.start(["node", "/bench/call-on.js", String(one.domid)])
      for (const connection of [1, 2]) {
        yield* client.said(`answered on connection ${connection}`)
        yield* server.kill
        server = yield* serve
      }
      // The last one ends in peace, and takes along what those before it left.
      yield* client.said("answered on connection 3")
    })
  },
  {
    name: "Effect's own RPC between two unprivileged guests, and from dom0, with each serialization",
    run: Effect.fnUntraced(function*({ dom0, one, two }) {
      const server = yield* one.start(["node", "/bench/effect-rpc.js", "serve"])
      yield* server.said("serves ndjson and SchemaBinary")
      yield* Effect.forEach([dom0, two], (domain) =>
        Effect.gen(function*() {
          const client = yield* domain.start(["node", "/bench/effect-rpc.js", "call", String(one.domid)])
          for (const name of ["ndjson", "SchemaBinary"]) {
            yield* expect("the caller", yield* client.said(`${name}: called by`), String(domain.domid))
            yield* expect("the items", yield* client.said(`${name}: counted`), "1000")
            yield* expect("the failure", yield* client.said(`${name}: failed`), "TooLoud")
          }
          yield* ends("the client", client)
        }), { concurrency: "unbounded" })
      for (const name of ["ndjson", "SchemaBinary"]) yield* server.said(`${name}: interrupted`)
    })
  }
]

/** A keepalive that never comes to ask here: its interval and timeout in milliseconds. */
const never = ["600000", "600000"]

/** Services within the agents of three domains, whose calls are made from others. */
export const calls: ReadonlyArray<Case> = [
  {
    name: "a client's stream arrives whole, from a guest in dom0",
    run: Effect.fnUntraced(function*({ dom0, two }) {
      yield* (yield* dom0.start(["calls", ...never, "serve"])).said("up")
      const client = yield* two.start(["calls", ...never, "upload", "0"])
      yield* expect("the sum", yield* client.said("summed"), "50005000")
    })
  },
  {
    name: "a server that goes away takes no new call from another guest, and ends after the one that still sends its stream",
    run: Effect.fnUntraced(function*({ one, two }) {
      const server = yield* two.start(["calls", ...never, "serve"])
      yield* server.said("up")
      const client = yield* one.start(["calls", ...never, "outlast", String(two.domid)])
      yield* server.said("Sum began")
      yield* server.kill
      yield* expect("a call after it", yield* client.said("late failed:"), "Draining")
      yield* expect("the sum", yield* client.said("summed"), "3")
      yield* ends("the client", client)
    })
  },
  {
    name: "vchan services lists another guest's service with its shapes, and vchan call calls it by them",
    onXenAlone: true,
    run: Effect.fnUntraced(function*({ one, two }) {
      yield* (yield* one.start(["calls", ...never, "serve"])).said("up")
      const vchan = (...words: ReadonlyArray<string>) => two.start(["node", "/bench/vchan.js", ...words, "--timeout", "1 minute"])
      const services = yield* vchan("services", String(one.domid))
      yield* services.said("lasting")
      yield* expect("the shape", yield* services.said("  Say("), "{ text: string }): string")
      const call = yield* vchan("call", String(one.domid), "lasting.Say", "{\"text\":\"by hand\"}")
      yield* expect("the answer", yield* call.said(""), "\"by hand\"")
      yield* Effect.forEach([services, call], (program) => ends("vchan", program))
    })
  }
]

/** How a command that shows something of XenStore ends: with 0 where it may. */
const sees = (domain: Domain, ...argv: ReadonlyArray<string>) => Effect.scoped(Effect.flatMap(domain.start(argv), ({ exit }) => exit))

export const admission: ReadonlyArray<Case> = [
  {
    name: "a domain that is not admitted can neither see a listener's keys nor connect",
    onXenAlone: true,
    run: Effect.fnUntraced(function*({ dom0, one, two }) {
      const at = meeting(one, two)
      yield* at.serve("TypeScript", "listen", 0)
      const places = ["", "/req/0", "/listener"].map((name) => `${at.path}${name}`)
      for (const place of places) {
        yield* expect(`xenstore-ls ${place} in a guest`, yield* sees(two, "xenstore-ls", place), 1)
        yield* expect(`xenstore-write below ${place} in a guest`, yield* sees(two, "xenstore-write", `${place}/key`, "x"), 1)
      }
      yield* (yield* at.intrude("ask")).said("failed: ServerAbsent")
      const admitted = yield* dom0.start(["peer-ts", "client", String(one.domid), at.path, "0", "0", "ask"])
      yield* ends("dom0, which is admitted", admitted)
    })
  },
  {
    name: "a listener is announced to those it admits, and another domain cannot see that it is there",
    run: Effect.fnUntraced(function*({ one, two }) {
      const at = meeting(one, two)
      const index = `/local/domain/${one.domid}/data/rpc-for`
      yield* at.serve("TypeScript", "listen", 0)
      for (const place of ["", "/0"]) {
        yield* expect(`xenstore-ls ${index}${place} in a guest`, yield* sees(two, "xenstore-ls", `${index}${place}`), 1)
      }
      for (const [place, admitted] of [[two.domid, two.domid], ["any", "any"]] as const) {
        yield* meeting(one, two).serve("TypeScript", "listen", admitted)
        yield* expect(`xenstore-ls ${index}/${place} in a guest`, yield* sees(two, "xenstore-ls", `${index}/${place}`), 0)
        yield* expect(`xenstore-write below ${index}/${place}`, yield* sees(two, "xenstore-write", `${index}/${place}/mine`, "x"), 1)
      }
    })
  },
  {
    name: "a domain that a server is not for can neither read its keys nor connect",
    onXenAlone: true,
    run: Effect.fnUntraced(function*({ dom0, one, two }) {
      for (const kind of ["C", "TypeScript"] as const) {
        const at = meeting(one, dom0)
        yield* at.serve(kind, "hold")
        yield* expect("xenstore-read of the ring in a guest", yield* sees(two, "xenstore-read", `${at.path}/ring-ref`), 1)
        const stranger = [String(one.domid), at.path, "0", "0", "hold"]
        yield* (yield* two.start(["peer", "client", ...stranger])).said("failed: client_init")
        yield* (yield* two.start(["peer-ts", "stranger", ...stranger])).said("failed: ServerAbsent")
        if (kind === "C") yield* ask(one, ["sh", "-c", `xenstore-rm ${at.path}; echo`])
      }
    })
  },
  {
    name: "a listener serves two domains at once",
    run: Effect.fnUntraced(function*({ dom0, one, two }) {
      const at = meeting(one, two)
      const listener = yield* at.serve("TypeScript", "listen", "any")
      const askers = yield* Effect.forEach(
        [dom0, two],
        (domain) => domain.start(["peer-ts", "client", String(one.domid), at.path, "0", "0", "ask", "hold"])
      )
      yield* Effect.forEach([dom0, two], ({ domid }) => listener.said(`came ${domid}`))
      yield* Effect.forEach(askers, ({ said }) => said("answered"))
      yield* Effect.forEach(askers, ({ kill }) => kill)
      yield* Effect.forEach([dom0, two], ({ domid }) => listener.said(`left ${domid}`))
    })
  }
]

/** Debian's vchan-socket-proxy, its standard output and input being the other end. */
export const proxy: ReadonlyArray<Case> = (["server", "client"] as const).map((role) => ({
  name: `Debian's vchan-socket-proxy as ${role} passes 1 MB to TypeScript`,
  run: Effect.fnUntraced(function*({ one, two }) {
    const at = meeting(one, two)
    // It ends with its vchan, not with its standard input; and a pipe's programs do not end with the shell that started them.
    const command = `(seq 1 200000 | head -c 1000000; exec sleep 1000) | vchan-socket-proxy --mode=${role}`
    const run = (peer: Domain) => ["sh", "-c", `${command} ${peer.domid} ${at.path} -`]
    const end = (domain: Domain) => ask(domain, ["sh", "-c", "killall -9 vchan-socket-proxy sleep; echo"])
    const work = ["pump", 0, 1_000_000, 0] as const
    const expected = `1000000 ${
      crc32(Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join("").slice(0, 1_000_000)).toString(16).padStart(8, "0")
    }`
    if (role === "client") {
      const server = yield* at.serve("TypeScript", ...work)
      yield* two.start(run(one))
      yield* server.said("connected")
      yield* Effect.addFinalizer(() => Effect.ignore(end(two)))
      // All has come when the checksum can be told: the server then waits for its client to go.
      yield* server.said("complete")
      yield* end(two)
      yield* expect("what came", yield* server.said("received"), expected)
    } else {
      yield* one.start(run(two))
      yield* Effect.addFinalizer(() => Effect.ignore(end(one)))
      const client = yield* at.connect("TypeScript", ...work)
      yield* expect("what came", yield* client.said("received"), expected)
    }
  })
}))
