import { admission } from "./admission.ts"
import { emulated } from "./backends.ts"
import { definitions } from "./definitions.ts"
import { effectRpc } from "./effectRpc.ts"
import { eventChannel } from "./eventChannel.ts"
import { grantTable } from "./grantTable.ts"
import { rpc } from "./rpc.ts"
import { rudeAskers } from "./rudeAskers.ts"
import { vchan } from "./vchan.ts"
import { xenStore } from "./xenStore.ts"

grantTable(emulated)
eventChannel(emulated)
xenStore(emulated)
vchan(emulated)
definitions(emulated)
admission(emulated)
rudeAskers(emulated)
effectRpc(emulated)
rpc(emulated)
