import { admission } from "./admission.ts"
import { memory } from "./backends.ts"
import { definitions } from "./definitions.ts"
import { effectRpc } from "./effectRpc.ts"
import { eventChannel } from "./eventChannel.ts"
import { grantTable } from "./grantTable.ts"
import { rpc } from "./rpc.ts"
import { rudeAskers } from "./rudeAskers.ts"
import { vchan } from "./vchan.ts"
import { xenStore } from "./xenStore.ts"

grantTable(memory)
eventChannel(memory)
xenStore(memory)
vchan(memory)
definitions(memory)
admission(memory)
rudeAskers(memory)
effectRpc(memory)
rpc(memory)
