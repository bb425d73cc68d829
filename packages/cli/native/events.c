/* libxenevtchn: ports are entries of the host's table, and a handle is a guest with its queue. */
#include "xenshim.h"

static struct port **find(xenevtchn_handle *handle, uint32_t port)
{
    struct port **at = &handle->ports;
    while (*at && (*at)->port != port) at = &(*at)->next;
    return at;
}

/* Leaves an event on the port; whether its owner has to be told. */
static int raise_port(uint32_t port)
{
    uint32_t flags = atomic_load(&table[port].flags), next;
    do next = flags ? flags | PENDING : MASKED;
    while (!atomic_compare_exchange_weak(&table[port].flags, &flags, next));
    return !flags;
}

static int tell(int fd, uint32_t port)
{
    ssize_t count;
    do count = write(fd, &port, sizeof port);
    while (count < 0 && errno == EINTR);
    return count == sizeof port;
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
    (void)logger, (void)flags;
    if (attach()) return NULL;
    pthread_mutex_lock(&mutex);
    xenevtchn_handle *handle = join();
    pthread_mutex_unlock(&mutex);
    return handle;
}

int xenevtchn_close(xenevtchn_handle *handle)
{
    if (!handle) return 0;
    pthread_mutex_lock(&mutex);
    leave(handle);
    pthread_mutex_unlock(&mutex);
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *handle) { return handle->events; }

int xenevtchn_notify(xenevtchn_handle *handle, uint32_t port)
{
    pthread_mutex_lock(&mutex);
    struct port *held = *find(handle, port);
    uint32_t peer = held && port < table_size ? atomic_load(&table[port].peer) : 0;
    if (peer && peer < table_size && raise_port(peer)) {
        uint32_t queue = atomic_load(&table[peer].queue);
        if (queue && (queue != held->queue || held->fd < 0)) {
            char path[sizeof directory + 16];
            if (held->fd >= 0) close(held->fd);
            snprintf(path, sizeof path, "%s/evt.%u", directory, queue);
            /* Open for reading too, so that a queue whose reader is gone takes the event instead of raising SIGPIPE. */
            held->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
            held->queue = queue;
        }
        if (!queue || held->fd < 0 || !tell(held->fd, peer)) atomic_store(&table[peer].flags, 0);
    }
    pthread_mutex_unlock(&mutex);
    return held ? 0 : fail(EINVAL);
}

static int bind_port(xenevtchn_handle *handle, uint32_t domid, const uint32_t *remote)
{
    struct port *port = calloc(1, sizeof *port);
    uint32_t words[2];
    if (!port) return -1;
    pthread_mutex_lock(&mutex);
    int result = remote ? askf(handle, words, "0 bind-interdomain %u %u\n", domid, *remote)
                        : askf(handle, words, "0 bind-unbound %u\n", domid);
    if (!result) {
        port->port = words[0];
        port->fd = -1;
        port->next = handle->ports;
        handle->ports = port;
    }
    pthread_mutex_unlock(&mutex);
    if (!result) return words[0];
    int error = errno;
    free(port);
    return fail(error);
}

int xenevtchn_bind_unbound_port(xenevtchn_handle *handle, uint32_t domid) { return bind_port(handle, domid, NULL); }
int xenevtchn_bind_interdomain(xenevtchn_handle *handle, uint32_t domid, uint32_t remote)
{
    return bind_port(handle, domid, &remote);
}

int xenevtchn_unbind(xenevtchn_handle *handle, uint32_t port)
{
    pthread_mutex_lock(&mutex);
    struct port **at = find(handle, port), *held = *at;
    int result = held ? askf(handle, NULL, "0 unbind %u\n", port) : fail(EINVAL);
    if (held) {
        *at = held->next;
        if (held->fd >= 0) close(held->fd);
        free(held);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int xenevtchn_pending(xenevtchn_handle *handle)
{
    uint32_t port;
    ssize_t count;
    do count = read(handle->events, &port, sizeof port);
    while (count < 0 && errno == EINTR);
    return count == sizeof port ? (int)port : -1;
}

int xenevtchn_unmask(xenevtchn_handle *handle, uint32_t port)
{
    if (port >= table_size) return fail(EINVAL);
    uint32_t flags = atomic_load(&table[port].flags), next;
    do next = flags & PENDING ? MASKED : 0;
    while (!atomic_compare_exchange_weak(&table[port].flags, &flags, next));
    if (next) tell(handle->events, port);
    return 0;
}

MISSING(xenevtchn_bind_virq)
MISSING(xenevtchn_restrict)
xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned flags)
{
    return (void)logger, (void)fd, (void)flags, fail(ENOSYS), NULL;
}
