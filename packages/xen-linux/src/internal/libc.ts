/**
 * The C library calls that the Linux backends make, with C's names, types and constants: nowhere else in the project.
 *
 * Stateless. Every call answers as in C: -1 (or MAP_FAILED) on failure, and {@link refusal} then tells why.
 */
import { SystemRefusal } from "@vchan/xen"
import koffi from "koffi"

// null is the program itself: Node is linked with the C library, whichever that is here.
const library = koffi.load(null)

export const PROT_NONE = 0
export const PROT_READ = 1
export const PROT_WRITE = 2
export const MAP_SHARED = 0x01
export const MAP_PRIVATE = 0x02
export const MAP_FIXED = 0x10
export const MAP_ANONYMOUS = 0x20
export const MAP_NORESERVE = 0x4000
export const MAP_FAILED = 0xFFFF_FFFF_FFFF_FFFFn
export const LOCK_EX = 2
export const LOCK_NB = 4
export const FALLOC_FL_KEEP_SIZE = 1
export const FALLOC_FL_PUNCH_HOLE = 2

/** `void *mmap(void *, size_t, int, int, int, off_t)`; addresses are bigints, and `off_t` has 64 bits on all that Node runs on. */
export const mmap: (address: bigint, length: number, protection: number, flags: number, fd: number, offset: number) => bigint = library
  .func(
    "mmap",
    "void *",
    ["uintptr_t", "size_t", "int", "int", "int", "int64_t"]
  )

/** `int munmap(void *, size_t)`. Views of the range must have been detached. */
export const munmap: (address: bigint, length: number) => number = library.func("munmap", "int", ["uintptr_t", "size_t"])

/** `int fallocate(int, int, off_t, off_t)` */
export const fallocate: (fd: number, mode: number, offset: number, length: number) => number = library.func(
  "fallocate",
  "int",
  ["int", "int", "int64_t", "int64_t"]
)

/** `int flock(int, int)` */
export const flock: (fd: number, operation: number) => number = library.func("flock", "int", ["int", "int"])

/** `int mkfifo(const char *, mode_t)` */
export const mkfifo: (path: string, mode: number) => number = library.func("mkfifo", "int", ["str", "uint"])

/** `ssize_t read(int, void *, size_t)` */
export const read: (fd: number, buffer: Uint8Array, length: number) => number = library.func("read", "int64_t", ["int", "void *", "size_t"])

/** `ssize_t write(int, const void *, size_t)` */
export const write: (fd: number, buffer: Uint8Array, length: number) => number = library.func("write", "int64_t", [
  "int",
  "const void *",
  "size_t"
])

/** `int ioctl(int, unsigned long, void *)`; the kernel may write its answer into the argument. */
export const ioctl: (fd: number, request: number, argument: Uint8Array) => number = library.func("ioctl", "int", [
  "int",
  "unsigned long",
  "void *"
])

/** `int sched_yield(void)` */
export const schedYield: () => number = library.func("sched_yield", "int", [])

/** The memory at an address, seen without a copy. Touching it after it was unmapped kills the process: detach it before. */
export const viewMemory = (address: bigint, length: number): ArrayBuffer => koffi.view(address, length)

/** Calls back whenever the fd can be read, until closed. The fd must be a FIFO, a socket or a device: over others koffi ends the process. */
export const pollReadable: (fd: number, readable: () => void) => { readonly close: () => void } = (fd, readable) =>
  koffi.node.poll(fd, { readable: true }, readable)

// Where one number has two names (EAGAIN, EWOULDBLOCK), the first by the alphabet is the usual one.
const names = new Map(Object.entries(koffi.os.errno).reverse().map(([name, value]) => [value, name]))

/** The name of the errno that the last call left behind. */
export const errnoName = (): string => names.get(koffi.errno()) ?? `errno ${koffi.errno()}`

/** The last call's failure, for people: `call` names it with what it was made on. */
export const refusal = (call: string, hint: string): SystemRefusal => new SystemRefusal({ call, code: errnoName(), hint })
