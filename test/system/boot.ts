/**
 * Boots the bench, reads its serial line, and reports: each case as it ends, then how many passed. A case of which nothing was heard has
 * failed. The arguments are how many seconds the machine may run, and a text, where only cases whose names contain it are to run. A machine
 * that is slow to start may run for longer in proportion. QEMU ends with this process, and is started a second time where it ended before Xen said anything; the whole log stays beside the images.
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as readline from "node:readline"
import { fileURLToPath } from "node:url"
import { casesWith } from "./cases.ts"

const cache = fileURLToPath(new URL("../../node_modules/.cache/vchan/xen", import.meta.url))
const images = `${cache}/boot`

const machine = [
  "-accel tcg,thread=multi -smp 2,sockets=1,cores=2 -m 3072 -nodefaults -display none -serial stdio -no-reboot",
  // Without SMAP, under which this QEMU's IRET from ring 3 to ring 3 faults, where a paravirtual kernel is; and without AVX.
  "-cpu Nehalem",
  "-device isa-debug-exit,iobase=0x501,iosize=2"
].flatMap((words) => words.split(" "))
const xen =
  "com1=115200,8n1 console=com1 loglvl=warning guest_loglvl=warning dom0_mem=1536M,max:1536M dom0_max_vcpus=1 spec-ctrl=no xpti=no"
const [seconds, only = ""] = process.argv.slice(2)
const mib = Number(process.env["VCHAN_MIB"] ?? 0)
const dom0 = `console=hvc0 quiet bench.role=dom0 bench.mib=${mib} bench.only=${encodeURIComponent(only).replaceAll("'", "%27")}`
const command = [...machine, "-kernel", `${images}/xen`, "-append", xen, "-initrd", `${images}/vmlinux ${dom0},${images}/dom0.img`]
const sinceStart = (): string => `${(performance.now() / 1000).toFixed(0)} s`

/** How many times as long as it takes until the guests are up all of it may take, at least: what is slow then is slow throughout. */
const startsAllowed = 20

let deadline = performance.now() + Number(seconds) * 1000
let timer: NodeJS.Timeout | undefined
let stop = (): void => {}

const arm = (): void => {
  clearTimeout(timer)
  timer = setTimeout(() => stop(), Math.max(0, deadline - performance.now()))
}

const open = new Set(casesWith(only, mib).map(({ name }) => name))
const other: Array<string> = []
const log = fs.createWriteStream(`${cache}/serial.log`)
let passed = 0
let failed = 0
let ended = false

const hear = (text: string): void => {
  log.write(`${text}\n`)
  const [, verdict, seconds, name = ""] = /^case: (ok|failed) ([0-9.]+) (.*)$/.exec(text) ?? []
  if (text === "case: end") ended = true
  else if (verdict !== undefined) {
    open.delete(name)
    if (verdict === "ok") passed++
    else failed++
    console.log(`${verdict === "ok" ? "ok    " : "FAILED"} ${name} (${seconds} s)`)
  } else if (text.startsWith("dom0: guests ")) {
    console.log(`${text.slice(6)}, ${sinceStart()} from the start`)
    deadline = Math.max(deadline, startsAllowed * performance.now())
    arm()
  } else if (text.startsWith("case: | ")) console.log(`       ${text.slice(8)}`)
  else other.push(text)
}

/** Runs the machine to its end: how QEMU ended, what it said itself, and whether the machine said anything. */
const boot = async () => {
  const qemu = spawn("qemu-system-x86_64", command, { stdio: ["ignore", "pipe", "pipe"] })
  stop = () => void qemu.kill("SIGKILL")
  arm()
  process.once("exit", stop)
  const exited = new Promise<string>((resolve) => {
    qemu.on("exit", (code, signal) => resolve(signal ?? `exit code ${code}`))
    qemu.on("error", (error) => resolve(error.message))
  })
  let own = ""
  qemu.stderr.setEncoding("utf8").on("data", (text: string) => own += text)
  let heard = false
  for await (const line of readline.createInterface({ input: qemu.stdout })) {
    heard = true
    // Consoles add carriage returns, Xen's before Linux's.
    const text = line.trimEnd()
    if (text !== "") hear(text)
  }
  const how = await exited
  clearTimeout(timer)
  process.off("exit", stop)
  return { how, own: own.trim(), heard }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1))

let result = await boot()
if (!result.heard && performance.now() < deadline) {
  // Nothing of this suite has run yet. Once, and never for a machine that said something.
  console.log(`QEMU ended (${result.how}) before Xen said anything; it is started a second time. QEMU's own words: ${result.own || "none"}`)
  result = await boot()
}

for (const name of open) console.log(`FAILED ${name} (nothing was heard of it)`)
if (!ended) {
  const why = performance.now() < deadline ? result.how : `${(deadline / 1000).toFixed(0)} s were over`
  console.log(`QEMU ended (${why}) before the last case had. QEMU's own words: ${result.own || "none"}. The end of the machine's log:`)
  for (const text of other.slice(-40)) console.log(`       ${text}`)
}
failed += open.size
console.log(`it took ${sinceStart()}`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && ended ? 0 : 1
