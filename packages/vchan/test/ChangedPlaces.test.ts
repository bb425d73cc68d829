import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ChangedPlaces, type Turn } from "../src/ChangedPlaces.ts"

const turns = (changes: ChangedPlaces): Array<Turn> => {
  const taken: Array<Turn> = []
  for (let turn = changes.next(); turn !== undefined; turn = changes.next()) taken.push(turn)
  return taken
}

const names = (count: number) => Array.from({ length: count }, (_, at) => `id${at}`)

describe("ChangedPlaces", () => {
  it("gives each place its turn, however much changes in another", () => {
    const changes = new ChangedPlaces()
    for (const id of names(100)) changes.add("3", id)
    changes.add("7", "only")
    expect(changes.next()).toEqual({ place: "3", ids: names(8) })
    expect(changes.next()).toEqual({ place: "7", ids: ["only"] })
    expect(changes.next()?.place).toBe("3")
  })

  it("has a place listed where more changes than can be counted, or nobody knows what", () => {
    const changes = new ChangedPlaces()
    for (const id of names(257)) changes.add("3", id)
    changes.add("5", "known")
    changes.add("5")
    changes.add("5", "later")
    expect(turns(changes)).toEqual([{ place: "3", ids: "all" }, { place: "5", ids: "all" }])
  })

  it("looks at all that a listing found, whatever changes meanwhile", () => {
    const changes = new ChangedPlaces()
    changes.add("3", "came")
    changes.found("3", names(1000))
    expect(turns(changes).flatMap(({ ids }) => ids)).toEqual(["came", ...names(1000)])
  })

  it("forgets no change and repeats none", () => {
    const change = fc.tuple(fc.constantFrom("any", "3", "7"), fc.constantFrom(...names(20)))
    fc.assert(fc.property(fc.array(change, { maxLength: 200 }), (list) => {
      const changes = new ChangedPlaces()
      for (const [place, id] of list) changes.add(place, id)
      const looked = turns(changes).flatMap(({ ids, place }) => Array.from(ids, (id) => `${place}/${id}`))
      expect(looked.toSorted()).toEqual([...new Set(list.map((change) => change.join("/")))].toSorted())
    }))
  })
})
