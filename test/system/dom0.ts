/**
 * dom0 of the bench: creates both guests, runs the cases, some at once, and reports each in a line of its own. Its exit code is the verdict.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type { DomId, XenStore } from "@vchan/xen"
import { Xen } from "@vchan/xen-linux"
import { Cause, Console, Effect, Exit, Schedule, type Scope } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { batchesWith } from "./cases.ts"
import { held as heldHere } from "./Held.ts"
import { BenchError, start, thisXen } from "./Programs.ts"
import { attach } from "./Remote.ts"
import { ask, type Case, type Domain, type World } from "./World.ts"

const command = (name: string, ...args: ReadonlyArray<string>): Effect.Effect<string, BenchError> =>
  Effect.callback((resume) => {
    execFile(name, args, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.succeed(stdout.trim())
          : Effect.fail(new BenchError({ message: `${name} ${args.join(" ")}: ${stderr || error.message}` }))
      ))
  })

const xl = (...args: ReadonlyArray<string>): Effect.Effect<string, BenchError> => command("xl", ...args)

const createGuest = Effect.fnUntraced(function*(name: string) {
  const config = {
    name,
    type: "pv",
    kernel: "/boot/vmlinux",
    ramdisk: "/boot/guest.img",
    extra: "console=hvc0 quiet bench.role=guest",
    memory: 640,
    vcpus: 1,
    on_poweroff: "destroy",
    on_reboot: "destroy",
    on_crash: "destroy"
  }
  fs.writeFileSync(`/run/${name}.cfg`, Object.entries(config).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join(""))
  yield* xl("create", "-q", `/run/${name}.cfg`)
  return Number(yield* xl("domid", name))
})

const domainOf = (name: string, domid: () => DomId, start: Domain["start"], held: Domain["held"]): Domain => ({
  name,
  get domid() {
    return domid()
  },
  start,
  held,
  ranges: Effect.map(held, (text) => Number.parseInt(text, 10))
})

/** Where a saved guest lies. */
const saved = (name: string): string => `/saved/${name}`

const guest = (name: string) =>
  Effect.gen(function*() {
    const xen = yield* Effect.context<XenStore | Scope.Scope>()
    let domid = yield* createGuest(name)
    const { held, moved, start } = yield* attach(domid)
    const restore = Effect.gen(function*() {
      yield* xl("restore", saved(name))
      fs.rmSync(saved(name))
      domid = Number(yield* xl("domid", name))
      yield* moved(domid)
    }).pipe(Effect.provideContext(xen))
    return { domain: domainOf(name, () => domid, start, held), restore }
  }).pipe(Effect.timeoutOrElse({
    duration: "2 minutes",
    orElse: () => Effect.fail(new BenchError({ message: `${name} does not come up` }))
  }))

const report = "/run/xenstored.memory"

/** How many watches all processes of all domains have set, by what xenstored tells of its memory. */
const watches = Effect.gen(function*() {
  // It is appended to.
  fs.rmSync(report, { force: true })
  yield* command("xenstore-control", "memreport", report)
  return fs.readFileSync(report, "utf8").split("\n").filter((line) => line.trimStart().startsWith("struct watch ")).length
})

/** What the machine was started with. */
const parameter = (name: string): string => new RegExp(`bench\\.${name}=(\\S*)`).exec(fs.readFileSync("/proc/cmdline", "utf8"))?.[1] ?? ""

/** What all cases find alike. */
type Bench = Omit<World, "note">

/** All that could be left; the ports of every domain only dom0 may see. Of a domain that was destroyed, or saved, dom0 lets go, too. */
const heldBy = Effect.fnUntraced(function*(world: Bench, destroyed: ReadonlySet<Domain>) {
  const domains = [world.dom0, world.one, world.two].filter((domain) => !destroyed.has(domain))
  const lines = Effect.forEach(domains, ({ held, name }) => Effect.map(held, (text) => `${name}: ${text}`), { concurrency: "unbounded" })
  const count = `echo ${domains.map(({ domid }) => `$(lsevtchn ${domid} | wc -l)`).join(", ")}`
  const [ports, watched, texts] = yield* Effect.all([ask(world.dom0, ["sh", "-c", count]), watches, lines], { concurrency: "unbounded" })
  return destroyed.size > 0 ? texts.filter((text) => !text.startsWith("dom0")) : [...texts, `ports: ${ports}`, `watches: ${watched}`]
})

/** How many minutes a case may take: where small rings have more to pass, more. */
const patience = Number(parameter("mib")) > 0 ? 30 : 4

/** How a case went: what it noted, and why it failed where it did. */
interface Outcome {
  readonly name: string
  readonly seconds: string
  readonly notes: ReadonlyArray<string>
  readonly failure: string | undefined
}

const run = Effect.fnUntraced(function*(world: Bench, { name, run }: Case): Effect.fn.Return<Outcome> {
  const begun = performance.now()
  const notes: Array<string> = []
  const exit = yield* run({ ...world, note: (text) => Effect.sync(() => void notes.push(text)) }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: `${patience} minutes`,
      orElse: () => Effect.fail(new BenchError({ message: `it took over ${patience} minutes` }))
    }),
    Effect.exit
  )
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  const failure = Exit.isSuccess(exit) ? undefined : error instanceof BenchError ? error.message : Cause.pretty(exit.cause)
  return { name, seconds: ((performance.now() - begun) / 1000).toFixed(1), notes, failure }
})

/** Says how a case went; `left` is what it, or one beside it, left behind. Gives whether all was well. */
const tell = Effect.fnUntraced(function*({ failure, name, notes, seconds }: Outcome, left: string | undefined) {
  const well = failure === undefined && left === undefined
  yield* Console.log(`case: ${well ? "ok" : "failed"} ${seconds} ${name}`)
  const lines = [...notes, ...(failure ?? left ?? "").split("\n").filter((line) => line !== "")]
  yield* Effect.forEach(lines, (line) => Console.log(`case: | ${line}`))
  return well
})

/** Runs cases at once, and then looks at what is left of them. Gives how many failed. */
const runBatch = Effect.fnUntraced(function*(
  world: Bench,
  batch: ReadonlyArray<Case>,
  held: Effect.Effect<ReadonlyArray<string>, BenchError>,
  before: ReadonlyArray<string>
) {
  const outcomes = yield* Effect.forEach(batch, (each) => run(world, each), { concurrency: "unbounded" })
  const left = yield* Effect.flatMap(held, (after) =>
    after.every((line) => before.includes(line))
      ? Effect.undefined
      : Effect.fail(new BenchError({ message: ["left behind", ...after, "where before was", ...before].join("\n") }))).pipe(
      Effect.retry({ schedule: Schedule.spaced("500 millis"), times: 20 }),
      Effect.catch(({ message }) =>
        Effect.succeed(
          batch.length === 1 ? message : `${message}\nby this case or by one that ran beside it: run each by its name to see which`
        )
      )
    )
  const well = yield* Effect.forEach(outcomes, (outcome) => tell(outcome, left))
  return well.filter((each) => !each).length
})

const main = Effect.gen(function*() {
  const xen = yield* thisXen
  const dom0 = domainOf("dom0", () => 0, (argv) => Effect.provideContext(start(argv), xen), Effect.provideContext(heldHere, xen))
  const [first, second] = yield* Effect.all([guest("one"), guest("two")], { concurrency: "unbounded" })
  const [one, two] = [first.domain, second.domain]
  const restores = new Map([[one, first.restore], [two, second.restore]])
  const destroyed = new Set<Domain>()
  const world: Bench = {
    dom0,
    one,
    two,
    pause: ({ name }) => Effect.asVoid(Effect.acquireRelease(xl("pause", name), () => Effect.ignore(xl("unpause", name)))),
    save: (guest) =>
      Effect.gen(function*() {
        destroyed.add(guest)
        // No guest is created any more, and a saved one takes as much of dom0's memory as it had itself.
        for (const file of fs.readdirSync("/boot")) fs.rmSync(`/boot/${file}`)
        yield* xl("save", guest.name, saved(guest.name))
      }),
    restore: (guest) => restores.get(guest) ?? Effect.die(new Error(`${guest.name} is no guest`)),
    destroy: (guest) => Effect.andThen(xl("destroy", guest.name), Effect.sync(() => destroyed.add(guest)))
  }
  yield* Console.log(`dom0: guests ${one.domid} and ${two.domid} are up after ${performance.now() / 1000 | 0} s`)
  let failed = 0
  const held = Effect.timeoutOrElse(Effect.suspend(() => heldBy(world, destroyed)), {
    duration: "30 seconds",
    orElse: () => Effect.fail(new BenchError({ message: "a domain does not tell what it holds" }))
  })
  // The first time sets watches up, through which the guests answer.
  yield* held
  let before = yield* held
  for (const batch of batchesWith(decodeURIComponent(parameter("only")), Number(parameter("mib")))) {
    const failures = yield* runBatch(world, batch, held, before)
    if (failures === 0) continue
    failed += failures
    // What a failed case leaves, for good or for a while, is not the next one's fault.
    before = [...before, ...yield* held]
  }
  yield* Console.log("case: end")
  if (failed > 0) return yield* Effect.fail(new BenchError({ message: `${failed} failed` }))
})

main.pipe(Effect.scoped, Effect.provide(Xen.layer), NodeRuntime.runMain)
