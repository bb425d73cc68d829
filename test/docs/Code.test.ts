import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"

const root = path.resolve(import.meta.dirname, "../..")
const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")

interface Example {
  readonly where: string
  readonly code: string
}

const blocksIn = (text: string): ReadonlyArray<string> => [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code)

/** The examples in the comments of the packages and on their first pages: whole modules, as a user would write them. */
const modules: ReadonlyArray<Example> = fs.globSync("packages/*/{README.md,src/**/*.ts}", { cwd: root }).toSorted().flatMap((file) =>
  blocksIn(read(file).replaceAll(/^ *\* ?/gm, "")).map((code) => ({ where: file, code }))
)

const names = [...read("test/docs/around.ts").matchAll(/^export (?:\{(.*)\}|(?:declare )?(?:const|class) (\w+))/gm)]
  .flatMap(([, list = "", name = list]) => name.split(",").map((each) => each.trim()))

/** The fragments in the pages, each in a program around it. The README's are whole files of an example. */
const fragments: ReadonlyArray<Example> = fs.globSync("docs/*.md", { cwd: root }).toSorted().flatMap((file) =>
  blocksIn(read(file)).map((code) => ({
    where: file,
    code: `import { ${names.join(", ")} } from "${root}/test/docs/around.ts"\nexport default Effect.gen(function*() {\n${code}})\n`
  }))
)

describe("the code in the packages' comments, on their first pages and in the pages", () => {
  it("is what the compiler takes", { timeout: 120_000 }, () => {
    expect(modules.length).toBeGreaterThan(10)
    expect(fragments.length).toBeGreaterThan(8)
    const folder = path.join(root, "node_modules/.cache/vchan/code")
    fs.rmSync(folder, { recursive: true, force: true })
    fs.mkdirSync(folder, { recursive: true })
    for (const [at, { code, where }] of [...modules, ...fragments].entries()) {
      fs.writeFileSync(path.join(folder, `${where.replaceAll(/\W/g, "-")}-${at}.ts`), code)
    }
    const compilerOptions = {
      allowImportingTsExtensions: true,
      composite: false,
      declaration: false,
      declarationMap: false,
      noEmit: true,
      noUnusedLocals: false,
      rewriteRelativeImportExtensions: false,
      rootDir: root
    }
    fs.writeFileSync(
      path.join(folder, "tsconfig.json"),
      JSON.stringify({ extends: path.join(root, "tsconfig.base.json"), compilerOptions })
    )
    expect(errorsIn(folder)).toBe("")
  })
})

const errorsIn = (folder: string): string => {
  try {
    return execFileSync(path.join(root, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8", stdio: "pipe" })
  } catch (error) {
    return error instanceof Error && "stdout" in error ? String(error.stdout) : String(error)
  }
}
