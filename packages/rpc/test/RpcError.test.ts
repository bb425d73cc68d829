import { describe, expect, it } from "@effect/vitest"
import { HandshakeRefused, VchanRpcError } from "../src/index.ts"

describe("what a peer says in an error's message", () => {
  it("is in one line, steers no terminal, and is cut where it is long", () => {
    const messageOf = (detail: string) => new VchanRpcError({ domid: 1, service: "s", reason: new HandshakeRefused({ detail }) }).message
    expect(messageOf("no\r\nERROR \u009b2J")).toBe("s with domain 1: the connection was refused: no ERROR \\u009b2J")
    expect(messageOf("\n".repeat(60_000)).length).toBeLessThan(10_000)
  })
})
