/** The service of bench.proto, for those who take it from there. */
import { loadSync } from "@grpc/proto-loader"
import { fileURLToPath } from "node:url"

/** The methods, with what puts their messages into bytes. */
export const service = () => {
  const { Add, Count, Echo, Same, Total, ...others } = methods()
  if (Add === undefined || Count === undefined || Echo === undefined || Same === undefined || Total === undefined) {
    throw new Error("bench.proto lacks a method")
  }
  return { Add, Count, Echo, Same, Total, ...others }
}

const methods = () => {
  const loaded = loadSync(fileURLToPath(new URL("bench.proto", import.meta.url)))["bench.Bench"]
  if (loaded === undefined || "format" in loaded) throw new Error("bench.proto has no service Bench")
  return loaded
}

/** The file's descriptor, in base64. */
export const descriptor = (): string => service().Add.requestType.fileDescriptorProtos[0]?.toString("base64") ?? ""
