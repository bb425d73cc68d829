/* libxengnttab: references are pages of the host's file, which the host counts. */
#define _GNU_SOURCE
#include "xenshim.h"
#include <sys/mman.h>

enum { PAGE = 4096 };

/* Pages that are mapped, and how the host is told of their end. */
struct region {
    void *address;
    size_t length;
    guest_t *guest;
    char end[32];
    struct region *next;
};

static struct region *regions;

void forget_pages(void) { regions = NULL; }

typedef struct xengntdev_handle {
    char nothing;
} xengnttab_handle, xengntshr_handle;

/* The guest that holds a port of this process. */
static guest_t *holder(uint32_t port)
{
    for (guest_t *guest = guests; guest; guest = guest->next)
        for (struct port *held = guest->ports; held; held = held->next)
            if (held->port == port) return guest;
    return NULL;
}

/* Who asks for pages with this notify, and the notify in words. Port -1 rings nobody; byte -1 is for "no notify", and the port is too. */
static guest_t *notifier(char *words, size_t size, uint32_t byte, uint32_t port)
{
    snprintf(words, size, byte == -1u ? "-" : "%u:%u", byte, port == -1u ? 0 : port);
    guest_t *guest = port == -1u ? common : byte == -1u ? NULL : holder(port);
    if (!guest) errno = EINVAL;
    return guest;
}

static void *map_pages(guest_t *guest, const uint32_t *refs, uint32_t count, int prot, const char *end, uint32_t id)
{
    struct region *region = calloc(1, sizeof *region);
    size_t length = (size_t)count * PAGE;
    char *address = region ? mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : MAP_FAILED;
    if (address != MAP_FAILED)
        for (uint32_t from = 0, to; from < count; from = to) {
            for (to = from + 1; to < count && refs[to] == refs[from] + (to - from);) to++;
            if (mmap(address + (size_t)from * PAGE, (size_t)(to - from) * PAGE, prot, MAP_SHARED | MAP_FIXED, pages, (off_t)refs[from] * PAGE) ==
                MAP_FAILED) {
                munmap(address, length);
                address = MAP_FAILED;
                break;
            }
        }
    if (address == MAP_FAILED) {
        int error = errno;
        free(region);
        askf(guest, NULL, "0 %s %u\n", end, id);
        errno = error;
        return NULL;
    }
    region->address = address;
    region->length = length;
    region->guest = guest;
    snprintf(region->end, sizeof region->end, "0 %s %u\n", end, id);
    region->next = regions;
    regions = region;
    guest->users++;
    return address;
}

static int unmap_pages(void *address, uint32_t count)
{
    pthread_mutex_lock(&mutex);
    struct region **at = &regions, *region;
    while ((region = *at) && region->address != address) at = &region->next;
    int result = !region || region->length != (size_t)count * PAGE ? fail(EINVAL) : munmap(address, region->length);
    if (!result) {
        *at = region->next;
        askf(region->guest, NULL, "%s", region->end);
        leave(region->guest);
        free(region);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

static void *share(uint32_t domid, uint32_t count, uint32_t *refs, uint32_t byte, uint32_t port)
{
    char notify[32];
    void *address = NULL;
    uint32_t words[2];
    pthread_mutex_lock(&mutex);
    guest_t *guest = notifier(notify, sizeof notify, byte, port);
    if (guest && !askf(guest, words, "0 share %u %u %s\n", domid, count, notify)) {
        for (uint32_t n = 0; n < count; n++) refs[n] = words[0] + n;
        address = map_pages(guest, refs, count, PROT_READ | PROT_WRITE, "end-share", words[0]);
    }
    pthread_mutex_unlock(&mutex);
    return address;
}

static void *map(uint32_t domid, uint32_t count, const uint32_t *refs, int prot, uint32_t byte, uint32_t port)
{
    char notify[32];
    void *address = NULL;
    uint32_t words[2];
    char *request = malloc(64 + (size_t)count * 11);
    if (!request) return NULL;
    pthread_mutex_lock(&mutex);
    guest_t *guest = notifier(notify, sizeof notify, byte, port);
    int length = sprintf(request, "0 map %u %s", domid, notify);
    for (uint32_t n = 0; n < count; n++) length += sprintf(request + length, " %u", refs[n]);
    request[length++] = '\n';
    if (guest && !ask(guest, words, request, length)) address = map_pages(guest, refs, count, prot, "end-map", words[0]);
    pthread_mutex_unlock(&mutex);
    free(request);
    return address;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
    (void)logger, (void)flags;
    return attach() ? NULL : calloc(1, sizeof(xengnttab_handle));
}
int xengnttab_close(xengnttab_handle *handle) { return free(handle), 0; }
void *xengnttab_map_grant_ref_notify(xengnttab_handle *handle, uint32_t domid, uint32_t ref, int prot, uint32_t byte, uint32_t port)
{
    return (void)handle, map(domid, 1, &ref, prot, byte, port);
}
void *xengnttab_map_grant_ref(xengnttab_handle *handle, uint32_t domid, uint32_t ref, int prot)
{
    return (void)handle, map(domid, 1, &ref, prot, -1, -1);
}
void *xengnttab_map_domain_grant_refs(xengnttab_handle *handle, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
    return (void)handle, map(domid, count, refs, prot, -1, -1);
}
void *xengnttab_map_grant_refs(xengnttab_handle *handle, uint32_t count, uint32_t *domids, uint32_t *refs, int prot)
{
    for (uint32_t n = 1; n < count; n++)
        if (domids[n] != domids[0]) return fail(ENOSYS), NULL;
    return (void)handle, map(count ? domids[0] : 0, count, refs, prot, -1, -1);
}
int xengnttab_unmap(xengnttab_handle *handle, void *address, uint32_t count) { return (void)handle, unmap_pages(address, count); }
int xengnttab_set_max_grants(xengnttab_handle *handle, uint32_t count) { return (void)handle, (void)count, 0; }

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned flags) { return xengnttab_open(logger, flags); }
int xengntshr_close(xengntshr_handle *handle) { return xengnttab_close(handle); }
void *xengntshr_share_pages(xengntshr_handle *handle, uint32_t domid, int count, uint32_t *refs, int writable)
{
    return (void)handle, (void)writable, share(domid, count, refs, -1, -1);
}
void *xengntshr_share_page_notify(xengntshr_handle *handle, uint32_t domid, uint32_t *ref, int writable, uint32_t byte, uint32_t port)
{
    return (void)handle, (void)writable, share(domid, 1, ref, byte, port);
}
int xengntshr_unshare(xengntshr_handle *handle, void *address, uint32_t count) { return (void)handle, unmap_pages(address, count); }

MISSING(xengnttab_fd)
MISSING(xengntshr_fd)
MISSING(xengnttab_grant_copy)
MISSING(xengnttab_dmabuf_exp_from_refs)
MISSING(xengnttab_dmabuf_exp_wait_released)
MISSING(xengnttab_dmabuf_imp_to_refs)
MISSING(xengnttab_dmabuf_imp_release)
