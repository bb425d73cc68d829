/*
 * What xenstored asks of a hypervisor, for tests that run it on plain Linux: preloaded, it takes the place of libxenctrl, libxenevtchn and
 * libxengnttab.
 *
 * MODEL_HOST is a directory. A domain is there as long as its ring, the file `ring.<domid>` of one page, is. Events go both ways over the unix
 * socket `events`, 4 bytes each: port 1 tells that domains came or went, and port 2 + domid rings a domain or is rung by it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

static int events = -1;
static char handle;

static const char *in_host(const char *format, unsigned number)
{
    static char path[108];
    int length = snprintf(path, sizeof path, "%s/", getenv("MODEL_HOST"));
    snprintf(path + length, sizeof path - length, format, number);
    return path;
}

/* dom0's own ring and port, which xenstored asks the kernel for. */
int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...)) dlsym(RTLD_NEXT, "open");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!strcmp(path, "/proc/xen/xsd_kva")) path = in_host("ring.%u", 0);
    if (!strcmp(path, "/proc/xen/xsd_port")) path = in_host("port", 0);
    return real(path, flags, mode);
}

/* Time goes by a thousand times as fast, so that nobody waits for xenstored's limit on the rate of writes. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (!result && clock == CLOCK_MONOTONIC) {
        time->tv_sec = time->tv_sec * 1000 + time->tv_nsec / 1000000;
        time->tv_nsec = time->tv_nsec % 1000000 * 1000;
    }
    return result;
}

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned flags)
{
    (void)logger, (void)dombuild_logger, (void)flags;
    return (xc_interface *)&handle;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_domain_getinfo(xc_interface *xch, uint32_t domid, unsigned count, xc_dominfo_t *info)
{
    (void)xch, (void)count;
    if (access(in_host("ring.%u", domid), F_OK)) return 0;
    memset(info, 0, sizeof *info);
    info->domid = domid;
    return 1;
}

xengnttab_handle *xengnttab_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger, (void)flags;
    return (xengnttab_handle *)&handle;
}

int xengnttab_close(xengnttab_handle *xgt)
{
    (void)xgt;
    return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t count)
{
    (void)xgt, (void)count;
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t reference, int protection)
{
    (void)xgt, (void)reference;
    int fd = open(in_host("ring.%u", domid), O_RDWR);
    if (fd < 0) return NULL;
    void *page = mmap(NULL, 4096, protection, MAP_SHARED, fd, 0);
    close(fd);
    return page == MAP_FAILED ? NULL : page;
}

int xengnttab_unmap(xengnttab_handle *xgt, void *page, uint32_t count)
{
    (void)xgt, (void)count;
    return munmap(page, 4096);
}

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger, (void)flags;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", in_host("events", 0));
    events = socket(AF_UNIX, SOCK_STREAM, 0);
    return events < 0 || connect(events, (struct sockaddr *)&address, sizeof address) ? NULL : (xenevtchn_handle *)&handle;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    (void)xce;
    return events;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    return write(events, &port, sizeof port) == sizeof port ? 0 : -1;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t port)
{
    (void)xce, (void)port;
    return 2 + domid;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned virq)
{
    (void)xce, (void)virq;
    return 1;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce, (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    (void)xce;
    evtchn_port_t port;
    /* Whoever started xenstored has ended. */
    if (read(events, &port, sizeof port) != sizeof port) exit(0);
    return port;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce, (void)port;
    return 0;
}
