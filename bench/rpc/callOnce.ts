/** A program that calls with grpc-js once, as shell scripts would: `callOnce.ts PATH` prints the sum. It makes no more than that call needs. */
import * as grpc from "@grpc/grpc-js"
import { service } from "./proto.ts"

const { Add } = service()
const client = new grpc.Client(`unix:${process.argv[2]}`, grpc.credentials.createInsecure())
client.makeUnaryRequest(Add.path, Add.requestSerialize, Add.responseDeserialize, { a: 1, b: 2 }, (error, sum) => {
  if (error !== null) throw error
  if (typeof sum === "object" && "value" in sum) console.log(sum.value)
  client.close()
})
