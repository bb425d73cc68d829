/**
 * What a case finds: dom0 and two unprivileged guests, in each of which it can start programs, and what it does with them.
 */
import type { DomId } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import { BenchError, type Program } from "./Programs.ts"

/** A domain of the bench. */
export interface Domain {
  readonly name: string
  /** A guest that was restored has another one than before. */
  readonly domid: DomId
  readonly start: (argv: ReadonlyArray<string>) => Effect.Effect<Program, BenchError, Scope.Scope>
  /** What all its processes hold, in one line. */
  readonly held: Effect.Effect<string, BenchError>
  /** How many ranges of lent and mapped pages all its processes hold. */
  readonly ranges: Effect.Effect<number, BenchError>
}

/** The bench. */
export interface World {
  readonly dom0: Domain
  readonly one: Domain
  readonly two: Domain
  /** Ends a guest for good, as `xl destroy` does; what is started in it afterwards fails. */
  readonly destroy: (guest: Domain) => Effect.Effect<void, BenchError>
  /** Keeps a guest from running, as `xl pause` does, until the Scope ends. */
  readonly pause: (guest: Domain) => Effect.Effect<void, BenchError, Scope.Scope>
  /** Ends a guest with `xl save`; what is started in it fails until it is restored. What it held is looked at no more. */
  readonly save: (guest: Domain) => Effect.Effect<void, BenchError>
  /** Brings a guest back that was saved, under a new domid. */
  readonly restore: (guest: Domain) => Effect.Effect<void, BenchError>
  /** Adds a line to the report of the case. */
  readonly note: (text: string) => Effect.Effect<void>
}

/** One thing that is shown to be so. */
export interface Case {
  readonly name: string
  /** On the emulated host it is shown by other suites, or has no meaning. */
  readonly onXenAlone?: boolean
  readonly run: (world: World) => Effect.Effect<void, BenchError, Scope.Scope>
}

export const expect = (what: string, actual: unknown, expected: unknown): Effect.Effect<void, BenchError> =>
  actual === expected ? Effect.void : Effect.fail(new BenchError({ message: `${what}: ${actual}, where ${expected} was expected` }))

/** Runs a command to its end and gives the line it says. */
export const ask = Effect.fnUntraced(function*(domain: Domain, argv: ReadonlyArray<string>) {
  return yield* Effect.flatMap(domain.start(argv), ({ said }) => said(""))
}, Effect.scoped)

/** How a peer is implemented: over Debian's libxenvchan, or here, within the domain's agent or as a process of its own. */
export type Kind = "C" | "TypeScript" | "process" | "TypeScript that never spins"

const commands: Readonly<Record<Kind, ReadonlyArray<string>>> = {
  C: ["peer"],
  TypeScript: ["peer-ts"],
  "TypeScript that never spins": ["peer-ts", "spin", "0"],
  process: ["node", "/bench/peer.js"]
}

export interface End {
  readonly domain: Domain
  readonly kind: Kind
}

let places = 0

/** A fresh place at which a server and a client can meet, and how each is started. */
export const meeting = (server: Domain, client: Domain, sizes: readonly [left: number, right: number] = [65536, 65536]) => {
  const path = `/local/domain/${server.domid}/data/vchan/${client.domid}/${++places}`
  const [left, right] = sizes.map(String)
  const start = (role: string, domain: Domain, peer: Domain, kind: Kind, work: ReadonlyArray<string | number>) =>
    domain.start([...commands[kind], role, String(peer.domid), path, left ?? "", right ?? "", ...work.map(String)])
  return {
    path,
    /** Starts the server, and waits until it has advertised. */
    serve: (kind: Kind, ...work: ReadonlyArray<string | number>) =>
      Effect.tap(start("server", server, client, kind, work), ({ said }) => said("up")),
    connect: (kind: Kind, ...work: ReadonlyArray<string | number>) => start("client", client, server, kind, work),
    /** Starts a client in TypeScript that is to be refused, so it soon gives up. */
    intrude: (...work: ReadonlyArray<string | number>) => start("stranger", client, server, "TypeScript", work)
  }
}

/** Waits for a good end. */
export const ends = (what: string, program: Program): Effect.Effect<void, BenchError> =>
  Effect.flatMap(program.exit, (code) =>
    code === 0 ? Effect.void : Effect.catch(
      Effect.flatMap(program.said("failed:"), (why) => Effect.fail(new BenchError({ message: `${what} ended with ${code}: ${why}` }))),
      ({ message }) => Effect.fail(new BenchError({ message: `${what}: ${message}` }))
    ))
