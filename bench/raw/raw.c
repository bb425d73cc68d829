/* The raw loads in C, over one of three transports; the same words and the same bytes as Line.ts and loads.ts.
 *
 *   raw xenvchan server|client DOMID PATH RING    libxenvchan, which waits as it waits
 *   raw ring RING                                 a ring in C that waits as ours does: the limit of what rings give here
 *   raw socket                                    a unix socket
 *
 * The last two fork their server. A server serves until its client or its standard input ends. A client says "ready", then answers each
 * line "LOAD SIZE COUNT" with "ok SECONDS" or, for rtt, "ok SECONDS MICROSECONDS", the median.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef XENVCHAN
#include <libxenvchan.h>
#endif

enum { ECHO = 1, SINK = 2, BOTH = 3, CHECKED = 256 };

struct header { uint32_t mode, size; uint64_t total; };
struct answer { uint32_t count, crc; };

/* Both move what can be moved now and return how much. */
static size_t (*put)(const void *bytes, size_t length);
static size_t (*get)(void *bytes, size_t length);
/* Waits until either may move something; what is not wanted need not be waited for. */
static void (*await_peer)(int reading, int writing);

static void die(const char *what)
{
    printf("failed %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* ---- libxenvchan ---- */

#ifdef XENVCHAN
static struct libxenvchan *vchan;

static size_t vchan_put(const void *bytes, size_t length)
{
    int count = libxenvchan_write(vchan, bytes, length);
    if (count < 0) exit(0);
    return count;
}

static size_t vchan_get(void *bytes, size_t length)
{
    int count = libxenvchan_read(vchan, bytes, length);
    if (count < 0) exit(0);
    return count;
}

static void vchan_await(int reading, int writing)
{
    (void)reading, (void)writing;
    if (libxenvchan_wait(vchan)) exit(0);
}

static void open_vchan(int is_server, int domid, const char *path, size_t ring)
{
    vchan = is_server ? libxenvchan_server_init(NULL, domid, path, ring, ring) : libxenvchan_client_init(NULL, domid, path);
    if (!vchan) die("libxenvchan");
    vchan->blocking = 0;
    put = vchan_put;
    get = vchan_get;
    await_peer = vchan_await;
}

#else

/* ---- a ring, laid out as vchan's, waiting as ours: 20 us of looks with sched_yield between, then asleep until rung ---- */

struct page { _Atomic uint32_t cons[2], prod[2]; _Atomic uint8_t asked[2]; };

static struct page *page;
static char *rings[2];
static size_t ring_size;
static int side, bells[2];

static void ring_bell(int bit)
{
    if (atomic_load(&page->asked[!side]) & bit && atomic_fetch_and(&page->asked[!side], ~bit) & bit)
        if (write(bells[!side], &(uint64_t){ 1 }, 8) != 8) die("eventfd");
}

static size_t ring_put(const void *bytes, size_t length)
{
    uint32_t prod = atomic_load_explicit(&page->prod[side], memory_order_relaxed);
    size_t space = ring_size - (prod - atomic_load_explicit(&page->cons[side], memory_order_acquire));
    size_t count = length < space ? length : space, at = prod & (ring_size - 1), first = ring_size - at;
    if (!count) return 0;
    memcpy(rings[side] + at, bytes, count < first ? count : first);
    if (count > first) memcpy(rings[side], (const char *)bytes + first, count - first);
    atomic_store(&page->prod[side], prod + count);
    ring_bell(1);
    return count;
}

static size_t ring_get(void *bytes, size_t length)
{
    uint32_t cons = atomic_load_explicit(&page->cons[!side], memory_order_relaxed);
    size_t ready = atomic_load_explicit(&page->prod[!side], memory_order_acquire) - cons;
    size_t count = length < ready ? length : ready, at = cons & (ring_size - 1), first = ring_size - at;
    if (!count) return 0;
    memcpy(bytes, rings[!side] + at, count < first ? count : first);
    if (count > first) memcpy((char *)bytes + first, rings[!side], count - first);
    atomic_store(&page->cons[!side], cons + count);
    ring_bell(2);
    return count;
}

static int may_move(int reading, int writing)
{
    return (reading && atomic_load(&page->prod[!side]) != atomic_load(&page->cons[!side]))
        || (writing && atomic_load(&page->prod[side]) - atomic_load(&page->cons[side]) < ring_size);
}

static void ring_await(int reading, int writing)
{
    double until = seconds() + 20e-6;
    do {
        if (may_move(reading, writing)) return;
        sched_yield();
    } while (seconds() < until);
    atomic_fetch_or(&page->asked[side], (reading ? 1 : 0) | (writing ? 2 : 0));
    if (may_move(reading, writing)) return;
    uint64_t rung;
    if (read(bells[side], &rung, 8) != 8) die("eventfd");
}

static void *shared(size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    return memory;
}

static void open_ring(size_t size)
{
    ring_size = size;
    page = shared(4096);
    for (int n = 0; n < 2; n++) {
        rings[n] = shared(size);
        bells[n] = eventfd(0, 0);
    }
    put = ring_put;
    get = ring_get;
    await_peer = ring_await;
}

/* ---- a unix socket ---- */

static int sock;

static size_t socket_put(const void *bytes, size_t length)
{
    ssize_t count = send(sock, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN) exit(0);
    return count < 0 ? 0 : count;
}

static size_t socket_get(void *bytes, size_t length)
{
    ssize_t count = recv(sock, bytes, length, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN)) exit(0);
    return count < 0 ? 0 : count;
}

static void socket_await(int reading, int writing)
{
    struct pollfd fd = { sock, (reading ? POLLIN : 0) | (writing ? POLLOUT : 0), 0 };
    if (poll(&fd, 1, -1) < 0) die("poll");
}

#endif

/* ---- the loads ---- */

static uint32_t crcs[256];

static uint32_t crc32_of(uint32_t crc, const unsigned char *bytes, size_t length)
{
    if (!crcs[1])
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t c = n;
            for (int bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
            crcs[n] = c;
        }
    crc = ~crc;
    for (size_t n = 0; n < length; n++) crc = crcs[(crc ^ bytes[n]) & 255] ^ crc >> 8;
    return ~crc;
}

static char incoming[1 << 20], message[1 << 20];

static void write_all(const void *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        size_t count = put((const char *)bytes + done, length - done);
        if (!count) await_peer(0, 1);
        done += count;
    }
}

static void read_all(void *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        size_t count = get((char *)bytes + done, length - done);
        if (!count) await_peer(1, 0);
        done += count;
    }
}

/* Sends `sending` bytes by messages, and takes `taking`, at the same time. */
static uint32_t exchange(uint32_t size, uint64_t sending, uint64_t taking, int checked)
{
    uint32_t crc = 0;
    size_t done = 0;
    while (sending || taking) {
        size_t out = 0, in = 0;
        if (sending) {
            out = put(message + done, size - done);
            done = (done + out) % size;
            sending -= out;
        }
        if (taking) {
            in = get(incoming, taking < sizeof incoming ? taking : sizeof incoming);
            if (checked) crc = crc32_of(crc, (unsigned char *)incoming, in);
            taking -= in;
        }
        if (!in && !out) await_peer(taking > 0, sending > 0);
    }
    return crc;
}

static void serve(void)
{
    for (;;) {
        struct header header;
        read_all(&header, sizeof header);
        uint32_t crc = 0, mode = header.mode & 255;
        int checked = header.mode & CHECKED;
        if (mode == ECHO) {
            for (uint64_t left = header.total; left;) {
                size_t count = get(incoming, left < sizeof incoming ? left : sizeof incoming);
                if (!count) await_peer(1, 0);
                if (checked) crc = crc32_of(crc, (unsigned char *)incoming, count);
                write_all(incoming, count);
                left -= count;
            }
        } else {
            crc = exchange(header.size, mode == BOTH ? header.total : 0, header.total, checked);
        }
        struct answer answer = { header.total, crc };
        write_all(&answer, sizeof answer);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run(uint32_t mode, uint32_t size, uint64_t count)
{
    struct header header = { mode, size, size * count };
    double *times = malloc(sizeof *times * (count + 1)), start = seconds(), last = start;
    write_all(&header, sizeof header);
    uint32_t crc = 0;
    if ((mode & 255) == ECHO)
        for (uint64_t n = 0; n < count; n++) {
            uint32_t seen = exchange(size, size, size, mode & CHECKED);
            if (mode & CHECKED && seen != crc32_of(0, (unsigned char *)message, size)) die("an echo differs");
            double now = seconds();
            times[n] = now - last;
            last = now;
        }
    else exchange(size, header.total, (mode & 255) == BOTH ? header.total : 0, mode & CHECKED);
    struct answer answer;
    read_all(&answer, sizeof answer);
    double took = seconds() - start;
    if (mode & CHECKED) for (uint64_t n = 0; n < count; n++) crc = crc32_of(crc, (unsigned char *)message, size);
    if (answer.count != (uint32_t)header.total || answer.crc != crc) die("the count or the checksum differs");
    if ((mode & 255) == ECHO) {
        qsort(times, count, sizeof *times, by_size);
        printf("ok %.9f %.4f\n", took, times[count / 2] * 1e6);
    } else printf("ok %.9f\n", took);
    free(times);
}

static void ask(void)
{
    char load[16];
    uint32_t size;
    uint64_t count;
    puts("ready");
    while (scanf("%15s %u %lu", load, &size, &count) == 3)
        run((load[0] == 'r' ? ECHO : load[0] == 's' ? SINK : BOTH) | (strstr(load, "-checked") ? CHECKED : 0), size, count);
}

int main(int argc, char **argv)
{
    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t n = 0, state = 2463534242; n < sizeof message; n++) message[n] = (state = state * 1664525 + 1013904223) >> 24;
#ifdef XENVCHAN
    int is_server = !strcmp(argv[2], "server");
    open_vchan(is_server, atoi(argv[3]), argv[4], strtoul(argv[5], NULL, 10));
    if (!is_server) return ask(), 0;
    puts("ready");
    serve();
#else
    int pair[2];
    if (!strcmp(argv[1], "ring")) open_ring(strtoul(argv[2], NULL, 10));
    else {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) die("socketpair");
        put = socket_put;
        get = socket_get;
        await_peer = socket_await;
    }
    int parent = getpid();
    side = fork() == 0;
    sock = pair[side];
    if (!side) return ask(), 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) serve();
#endif
}
