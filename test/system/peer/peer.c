/* One end of a vchan over libxenvchan, for tests: the other end is this program again, or the same program in TypeScript (peer.ts).
 *
 *   peer server|client DOMID PATH LEFT RIGHT WORK...
 *
 * DOMID is the other domain; LEFT and RIGHT are the least sizes of the rings, which a client does not choose. WORK is one of
 *
 *   pump SEND RECEIVE PACKET   sends and receives that many bytes at the same time, by packets of PACKET bytes or as a stream where that
 *                              is 0; a negative RECEIVE is all until the other side is gone. A server that received waits for the client
 *                              to go. Prints "sent COUNT CRC" and "received COUNT CRC".
 *   serve TOTAL                writes back what it reads, for one client after the other, until TOTAL bytes have come. Server only.
 *   ping COUNT                 messages of 64 bytes to a `serve`, one after the other; prints "median MICROSECONDS".
 *   flood TOTAL                writes of 64 KiB to a `drain`; prints "rate KIB_PER_SECOND".
 *   drain TOTAL                reads TOTAL bytes, answers with one, and waits for the client to go.
 *   hold                       waits for the other side to go; prints "gone".
 *
 * It prints "up" once it has advertised, and "connected". Exit code 0 where all went well.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <libxenvchan.h>

static char buffer[1 << 16];
static struct libxenvchan *vchan;
static uint32_t crcs[256];

static void fail(const char *what)
{
    printf("failed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint32_t crc32_of(uint32_t crc, const char *bytes, size_t length)
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

/* Bytes that tell their place: a lost, doubled or moved one changes the checksum. */
static void pattern(char *bytes, size_t length)
{
    static uint32_t state = 2463534242;
    for (size_t n = 0; n < length; n++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[n] = state >> 24;
    }
}

/* Whether the other side is there; the client's byte says 2 before the first one came. */
static int connected(void)
{
    return vchan->is_server ? vchan->ring->cli_live == 1 : libxenvchan_is_open(vchan) == 1;
}

static void wait_while(int (*condition)(void))
{
    while (condition())
        if (libxenvchan_wait(vchan)) fail("wait");
}

/* A client may have been there and be gone again. */
static int awaits_client(void) { return vchan->ring->cli_live == 2; }

/* libxenvchan looks for bytes first and for the peer then, and gives up without a second look at the bytes. */
static int read_some(char *bytes, size_t length)
{
    int count = libxenvchan_read(vchan, bytes, length);
    return count < 0 ? libxenvchan_read(vchan, bytes, length) : count;
}

static int receive_packet(char *bytes, size_t length)
{
    int count = libxenvchan_recv(vchan, bytes, length);
    return count < 0 ? libxenvchan_recv(vchan, bytes, length) : count;
}

static void write_all(const char *bytes, size_t length)
{
    while (length) {
        int count = libxenvchan_write(vchan, bytes, length);
        if (count <= 0) fail("write");
        bytes += count;
        length -= count;
    }
}

static void read_all(char *bytes, size_t length)
{
    while (length) {
        int count = read_some(bytes, length);
        if (count <= 0) fail("read");
        bytes += count;
        length -= count;
    }
}

static void pump(long long send, long long receive, size_t packet)
{
    static char out[1 << 16], in[1 << 16];
    long long sent = 0, received = 0;
    size_t filled = 0, written = 0;
    uint32_t crc_out = 0, crc_in = 0;
    int gone = 0;

    vchan->blocking = 0;
    while (sent < send || (receive < 0 ? !gone : received < receive)) {
        int progress = 0;
        if (sent < send) {
            if (written == filled) {
                filled = packet ? packet : sizeof out;
                if ((long long)filled > send - sent) filled = send - sent;
                written = 0;
                pattern(out, filled);
                crc_out = crc32_of(crc_out, out, filled);
            }
            int count = packet ? libxenvchan_send(vchan, out, filled) : libxenvchan_write(vchan, out + written, filled - written);
            if (count < 0) fail("send");
            written += count;
            sent += count;
            progress |= count;
        }
        if (receive < 0 ? !gone : received < receive) {
            size_t length = packet ? packet : sizeof in;
            if (receive >= 0 && (long long)length > receive - received) length = receive - received;
            int count = packet ? receive_packet(in, length) : read_some(in, length);
            if (count < 0 && receive >= 0) fail("receive");
            if (count < 0) gone = 1;
            else {
                crc_in = crc32_of(crc_in, in, count);
                received += count;
                progress |= count;
            }
        }
        if (!progress && !gone && libxenvchan_wait(vchan)) fail("wait");
    }
    vchan->blocking = 1;
    if (vchan->is_server && receive > 0) wait_while(connected);
    printf("sent %lld %08x\n", sent, crc_out);
    printf("received %lld %08x\n", received, crc_in);
}

static void serve(long long total)
{
    vchan->server_persist = 1;
    while (total > 0) {
        int count = libxenvchan_read(vchan, buffer, sizeof buffer);
        if (count <= 0) fail("read");
        write_all(buffer, count);
        total -= count;
    }
    wait_while(connected);
}

static int ascending(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

static void ping(int count)
{
    double *times = calloc(count, sizeof *times);
    for (int n = 0; n < count; n++) {
        char out[64], in[64];
        memset(out, n, sizeof out);
        double start = seconds();
        write_all(out, sizeof out);
        read_all(in, sizeof in);
        times[n] = seconds() - start;
        if (memcmp(out, in, sizeof out)) fail("the answer differs");
    }
    qsort(times, count, sizeof *times, ascending);
    printf("median %.1f\n", times[count / 2] * 1e6);
    free(times);
}

static void flood(long long total)
{
    double start = seconds();
    for (long long left = total; left > 0; left -= sizeof buffer) write_all(buffer, left < (long long)sizeof buffer ? left : (long long)sizeof buffer);
    read_all(buffer, 1);
    printf("rate %.0f\n", total / 1024.0 / (seconds() - start));
}

static void drain(long long total)
{
    while (total > 0) {
        int count = read_some(buffer, sizeof buffer);
        if (count <= 0) fail("read");
        total -= count;
    }
    write_all("!", 1);
    wait_while(connected);
}

int main(int argc, char **argv)
{
    if (argc < 7) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    int domid = atoi(argv[2]);
    const char *work = argv[6];
    long long first = argc > 7 ? atoll(argv[7]) : 0;

    if (!strcmp(argv[1], "server")) {
        vchan = libxenvchan_server_init(NULL, domid, argv[3], atol(argv[4]), atol(argv[5]));
        if (!vchan) fail("server_init");
        vchan->blocking = 1;
        puts("up");
        wait_while(awaits_client);
    } else {
        vchan = libxenvchan_client_init(NULL, domid, argv[3]);
        if (!vchan) fail("client_init");
        vchan->blocking = 1;
    }
    puts("connected");

    if (!strcmp(work, "pump")) pump(first, atoll(argv[8]), atol(argv[9]));
    else if (!strcmp(work, "serve")) serve(first);
    else if (!strcmp(work, "ping")) ping(first);
    else if (!strcmp(work, "flood")) flood(first);
    else if (!strcmp(work, "drain")) drain(first);
    else if (!strcmp(work, "hold")) {
        wait_while(connected);
        puts("gone");
    } else return 2;
    libxenvchan_close(vchan);
    return 0;
}
