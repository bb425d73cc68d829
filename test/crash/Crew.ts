/**
 * A host, a server and a client as processes that are killed and replaced, and what each is seen to hold from outside.
 *
 * All processes and the run directory end with the Scope.
 */
import { HostControl } from "@vchan/xen-linux"
import { Effect, Fiber, type Scope } from "effect"
import { type ChildProcess, execFileSync, fork } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { temporaryDirectory } from "../../packages/xen-linux/test/testHost.ts"
import type { Order, Role, Standing, Word } from "./Telling.ts"

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** One process. */
interface Member {
  readonly child: ChildProcess
  readonly order: (order: Order) => Effect.Effect<void>
  readonly standing: Effect.Effect<Standing>
}

/** What a process is seen to have open. */
export interface Open {
  readonly files: number
  readonly mapped: number
}

/** How many bytes of files in a directory are mapped, by what `/proc/<pid>/maps` says. How many ranges they are is the kernel's choice. */
const mappedFrom = (directory: string, maps: string): number =>
  maps.split("\n").filter((line) => line.includes(directory)).reduce((sum, line) => {
    const [from = "0", to = "0"] = line.split(" ")[0]?.split("-") ?? []
    return sum + Number.parseInt(to, 16) - Number.parseInt(from, 16)
  }, 0)

const bounded = <A, E>(what: () => string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.timeoutOrElse(effect, { duration: "60 seconds", orElse: () => Effect.die(new Error(`it never came: ${what()}`)) })

/** Looks again and again, in bounded time, until what is seen is as wanted. */
export const until = <A, E>(what: string, look: Effect.Effect<A, E>, wanted: (seen: A) => boolean): Effect.Effect<A, E> => {
  let last: A | undefined
  const looking = Effect.tap(look, (seen) => Effect.sync(() => void (last = seen)))
  return bounded(
    () => `${what}; last seen: ${JSON.stringify(last)}`,
    Effect.repeat(Effect.tap(looking, (seen) => wanted(seen) ? Effect.void : Effect.sleep("1 millis")), { until: wanted })
  )
}

const rolldown = here("../../node_modules/.bin/rolldown")
const program = here("../../node_modules/.cache/vchan/crash/process.js")

/** Makes one file of the program. From its sources it would take half a second to start, and a thousand of them do. */
export const bundle = (): void => {
  execFileSync(process.execPath, [rolldown, "--config", here("rolldown.config.ts")], { stdio: "pipe" })
}

/** Makes a crew, of the bundled program, in which nobody has a role yet. */
export const makeCrew = Effect.fnUntraced(function*() {
  const directory = yield* temporaryDirectory
  const notes = yield* temporaryDirectory
  const faults: Array<string> = []
  const members = new Map<Role, Member>()
  const writtenBy = (role: Role) => `${notes}/${role}`

  const start: Effect.Effect<Member, never, Scope.Scope> = Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => fork(program, { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] })),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    let hear: (standing: Standing) => void = () => {}
    let ready = false
    child.on("message", (word: Word) => {
      if (word._tag === "Ready") ready = true
      else if (word._tag === "Fault") faults.push(word.what)
      else hear(word.standing)
    })
    yield* until("a new process", Effect.sync(() => ready), (ready) => ready)
    return {
      child,
      // To one that dies nothing can be sent any more.
      order: (order) => Effect.sync(() => void child.send(order, () => {})),
      standing: bounded(
        () => "an answer",
        Effect.callback<Standing>((resume) => {
          hear = (standing) => resume(Effect.succeed(standing))
          child.send({ _tag: "Tell" } satisfies Order, () => {})
        })
      )
    }
  })

  /** The next processes, which wait for a role. */
  const spares = [yield* Effect.forkScoped(start), yield* Effect.forkScoped(start)]

  const member = (role: Role): Effect.Effect<Member> => Effect.suspend(() => Effect.orDie(Effect.fromNullishOr(members.get(role))))

  return {
    directory,
    /** What was found that may never be. */
    faults,
    /** Gives a role to a new process. */
    enlist: Effect.fnUntraced(function*(role: Role) {
      const spare = spares.shift() ?? (yield* Effect.forkScoped(start))
      spares.push(yield* Effect.forkScoped(start))
      const next = yield* Fiber.join(spare)
      members.set(role, next)
      yield* next.order({ _tag: "Be", role, directory, written: writtenBy(role) })
    }),
    order: (role: Role, tag: "Rise" | "Leave" | "Forget") => Effect.flatMap(member(role), ({ order }) => order({ _tag: tag })),
    standing: (role: Role) => Effect.flatMap(member(role), ({ standing }) => standing),
    kill: (role: Role) =>
      Effect.flatMap(member(role), ({ child }) => {
        members.delete(role)
        child.kill("SIGKILL")
        return until(`the end of a ${role}`, Effect.sync(() => child.exitCode ?? child.signalCode), (end) => end !== null)
      }),
    /** What the host says it holds. */
    held: Effect.map(
      Effect.orDie(HostControl.status({ directory })),
      (status) => ({ ...status, domains: status.domains.toSorted((left, right) => left - right) })
    ),
    /** What a process is seen to have open: files, sockets among them, and how many bytes of the host's files are mapped. */
    open: (role: Role) =>
      Effect.map(member(role), ({ child: { pid } }): Open => ({
        files: fs.readdirSync(`/proc/${pid}/fd`).length,
        mapped: mappedFrom(directory, fs.readFileSync(`/proc/${pid}/maps`, "utf8"))
      })),
    /** How many bytes a process has said it wrote on its last connection, before it died. */
    takeWritten: (role: Role) =>
      Effect.sync(() => {
        const file = writtenBy(role)
        const bytes = fs.existsSync(file) ? fs.readFileSync(file) : Buffer.alloc(0)
        fs.rmSync(file, { force: true })
        return bytes.length === 8 ? Number(bytes.readBigUInt64LE()) : 0
      })
  }
})
