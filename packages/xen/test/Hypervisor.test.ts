import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Hypervisor } from "../src/Hypervisor.ts"
import type { Machine } from "../src/Machine.ts"

/** A machine that writes down what it is told. */
const recorder = () => {
  const log: Array<string> = []
  const machine: Machine = {
    allocate: (first, count) => void log.push(`allocate ${first} ${count}`),
    free: (first, count) => void log.push(`free ${first} ${count}`),
    clearByte: (reference, offset) => void log.push(`clear ${reference} ${offset}`),
    bound: (port, guest, peer) => void log.push(`bound ${port} ${guest} ${peer}`),
    unbound: (port) => void log.push(`unbound ${port}`),
    raise: (port) => void log.push(`raise ${port}`)
  }
  return { log, hypervisor: new Hypervisor({ machine }) }
}

describe("Hypervisor", () => {
  it("gives fresh domids to those who name none, and passes over those in use", () => {
    const { hypervisor } = recorder()
    assert.strictEqual(hypervisor.enter().domid, 1)
    assert.strictEqual(hypervisor.enter(2).domid, 2)
    assert.strictEqual(hypervisor.enter().domid, 3)
    assert.deepStrictEqual(hypervisor.holdings().domains, [0, 1, 2, 3])
  })

  it("ends a domain with its last process, but never domain 0", () => {
    const { hypervisor } = recorder()
    const first = hypervisor.enter(5)
    const second = hypervisor.enter(5)
    first.leave()
    assert.include(hypervisor.holdings().domains, 5)
    assert.include(hypervisor.store.stats().domains, 5)
    second.leave()
    second.leave()
    assert.notInclude(hypervisor.holdings().domains, 5)
    assert.notInclude(hypervisor.store.stats().domains, 5)
    hypervisor.enter(0).leave()
    assert.deepStrictEqual(hypervisor.holdings().domains, [0])
  })

  it("clears the live bytes and rings the peer of a process that ends, before anything of it is released", () => {
    const { hypervisor, log } = recorder()
    const server = hypervisor.enter(1)
    const client = hypervisor.enter(2)
    const port = Result.getOrThrow(server.bindUnbound(2))
    const page = Result.getOrThrow(server.share(2, 1, { clearByte: 21, port }))
    const local = Result.getOrThrow(client.bindInterdomain(1, port))
    Result.getOrThrow(client.map(1, [page], { clearByte: 20, port: local }))
    log.length = 0
    client.leave()
    assert.deepStrictEqual(log, [`clear ${page} 20`, `raise ${port}`, `unbound ${local}`, `bound ${port} ${server.id} 0`])
    log.length = 0
    server.leave()
    assert.deepStrictEqual(log, [`clear ${page} 21`, `free ${page} 1`, `unbound ${port}`])
    assert.deepStrictEqual(hypervisor.holdings(), { domains: [0], grants: 0, mappings: 0, ports: 0 })
  })

  it("destroys a domain without a sign to anybody, and keeps its pages until its processes and their mappers have let go", () => {
    const { hypervisor, log } = recorder()
    const server = hypervisor.enter(1)
    const client = hypervisor.enter(2)
    const port = Result.getOrThrow(server.bindUnbound(2))
    const page = Result.getOrThrow(server.share(2, 1, { clearByte: 21, port }))
    const mapping = Result.getOrThrow(client.map(1, [page]))
    log.length = 0
    assert.deepStrictEqual(hypervisor.destroy(1), [server])
    assert.deepStrictEqual(log, [`unbound ${port}`])
    assert.strictEqual(hypervisor.holdings().grants, 0)
    assert.isTrue(Result.isFailure(client.map(1, [page])))
    client.unmap(mapping)
    assert.deepStrictEqual(log, [`unbound ${port}`])
    server.leave()
    assert.deepStrictEqual(log, [`unbound ${port}`, `free ${page} 1`])
    assert.deepStrictEqual(hypervisor.destroy(0), [])
  })

  it("lends pages that a destroyed domain had mapped to nobody else before its processes are gone", () => {
    const { hypervisor, log } = recorder()
    const server = hypervisor.enter(1)
    const client = hypervisor.enter(2)
    const page = Result.getOrThrow(server.share(2, 1))
    Result.getOrThrow(client.map(1, [page]))
    hypervisor.destroy(2)
    assert.strictEqual(hypervisor.holdings().mappings, 0)
    server.endShare(page)
    assert.notStrictEqual(Result.getOrThrow(server.share(2, 1)), page)
    assert.notInclude(log, `free ${page} 1`)
    client.leave()
    assert.include(log, `free ${page} 1`)
    assert.strictEqual(Result.getOrThrow(server.share(2, 1)), page)
  })

  it("lends ended references again only once nobody has them mapped", () => {
    const { hypervisor } = recorder()
    const server = hypervisor.enter(1)
    const client = hypervisor.enter(2)
    const first = Result.getOrThrow(server.share(2, 2))
    const mapping = Result.getOrThrow(client.map(1, [first, first + 1]))
    server.endShare(first)
    assert.strictEqual(Result.getOrThrow(server.share(2, 2)), first + 2)
    client.unmap(mapping)
    client.unmap(mapping)
    assert.strictEqual(Result.getOrThrow(server.share(2, 2)), first)
  })

  it("rings nobody for a notify on a port that the process does not hold", () => {
    const { hypervisor, log } = recorder()
    const server = hypervisor.enter(1)
    const other = hypervisor.enter(3)
    const port = Result.getOrThrow(server.bindUnbound(3))
    Result.getOrThrow(other.bindInterdomain(1, port))
    const liar = hypervisor.enter(2)
    const page = Result.getOrThrow(liar.share(1, 1, { clearByte: 0, port }))
    log.length = 0
    liar.endShare(page)
    assert.deepStrictEqual(log, [`clear ${page} 0`, `free ${page} 1`])
  })
})
