/*
 * libxengnttab and libxenevtchn on an emulated host: preloaded, they let unmodified C programs over libxenvchan join the host as processes
 * of a domain, beside those in TypeScript.
 *
 *   cc -shared -fPIC -O2 -pthread -o xenshim.so guest.c grants.c events.c -ldl
 *   VCHAN_HOST=<run directory> VCHAN_DOMID=7 LD_PRELOAD=xenshim.so ./program
 *
 * docs/EMULATED-HOST.md describes the files and sockets that this uses. XenStore goes through the real libxenstore, which finds the domain's
 * socket by XENSTORED_PATH, set here before its first connection. Without VCHAN_DOMID the process is a fresh domain, and whatever it starts
 * is of the same one.
 *
 * A `guest` is a process in the host's eyes. Here there is one for each xenevtchn handle, because each has a queue of its own, and one for all
 * that concerns no port. When this process ends, however it ends, its connections close, and the host releases what they held. Unmap
 * notify works as in the kernel: pages that ring a port keep that port's guest until they are unmapped. As with the real libraries, a child
 * after fork(2) must open handles of its own. Not there: VIRQs, grant copies, dma-bufs, and one mapping of several domains' grants.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct xentoollog_logger;
struct xs_handle;
struct xc_interface_core;

/* What follows is for this library only: the program it is loaded into may use the same names. */
#pragma GCC visibility push(hidden)

/* A port of this process, with the open queue of the port at its other end. */
struct port {
    uint32_t port, queue;
    int fd;
    struct port *next;
};

typedef struct xenevtchn_handle guest_t, xenevtchn_handle;
struct xenevtchn_handle {
    int control;
    int events;            /* the FIFO of its events */
    int users;             /* its handle, and what is mapped with a notify for one of its ports */
    struct port *ports;
    guest_t *next;
    size_t filled;
    char input[4096];
};

/* One port in the host's table. */
struct entry {
    _Atomic uint32_t flags, queue, peer, unused;
};
enum { PENDING = 1, MASKED = 2 };

/* Held for whatever is asked, and for the lists. */
extern pthread_mutex_t mutex;
extern char directory[99];
extern int pages;
extern struct entry *table;
extern uint32_t table_size;
extern guest_t *guests;
/* The guest for what concerns no port. */
extern guest_t *common;

/* Sets errno, and returns -1. */
int fail(int error);

/* Joins the host at first use. */
int attach(void);

/* Another guest of the same domain, with one user. */
guest_t *join(void);

/* One user less: a guest without any leaves the host. */
void leave(guest_t *guest);

/* Asks the host; the first two words of its answer go to `words`, which may be NULL. */
int ask(guest_t *guest, uint32_t *words, const char *request, size_t length);
__attribute__((format(printf, 3, 4))) int askf(guest_t *guest, uint32_t *words, const char *format, ...);

/* After a fork, in the child: what was mapped is its parent's. */
void forget_pages(void);

#pragma GCC visibility pop

/* What this host has nothing for: whatever the arguments, the answer is -1 and ENOSYS. Left out where types are checked against Xen's headers. */
#ifndef MISSING
#define MISSING(name) \
    int name(void); \
    int name(void) { return fail(ENOSYS); }
#endif
