/* The host's control socket: joining, asking, leaving; and what is to be done before other libraries of Xen's find nothing. */
#define _GNU_SOURCE
#include "xenshim.h"
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
char directory[99];
int pages = -1;
struct entry *table;
uint32_t table_size;
guest_t *guests, *common;

int fail(int error)
{
    errno = error;
    return -1;
}

static int errno_of(const char *code)
{
    static const struct { const char *code; int error; } known[] = {
        { "EINVAL", EINVAL }, { "NoSuchGrant", EINVAL }, { "NoSuchPort", EINVAL }, { "ENOSYS", ENOSYS }, { "ENOMEM", ENOMEM },
        { "ENOSPC", ENOSPC }, { "GrantsExhausted", ENOSPC }, { "PortsExhausted", ENOSPC },
    };
    for (size_t n = 0; n < sizeof known / sizeof *known; n++)
        if (!strcmp(code, known[n].code)) return known[n].error;
    return EIO;
}

/* The next line in `line`, without its end. */
static int read_line(guest_t *guest, char *line)
{
    for (;;) {
        char *end = memchr(guest->input, '\n', guest->filled);
        if (end) {
            size_t length = end - guest->input;
            memcpy(line, guest->input, length);
            line[length] = 0;
            guest->filled -= length + 1;
            memmove(guest->input, end + 1, guest->filled);
            return 0;
        }
        if (guest->filled == sizeof guest->input) return fail(EPROTO);
        ssize_t count = recv(guest->control, guest->input + guest->filled, sizeof guest->input - guest->filled, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return fail(count ? errno : EIO);
        guest->filled += count;
    }
}

/* Asks the host; the first two words of its answer go to `words`. */
int ask(guest_t *guest, uint32_t *words, const char *request, size_t length)
{
    char line[sizeof guest->input], code[32];
    for (size_t sent = 0; sent < length;) {
        ssize_t count = send(guest->control, request + sent, length - sent, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR) return -1;
        if (count > 0) sent += count;
    }
    do {
        if (read_line(guest, line)) return -1;
        /* On Xen the process would have vanished with its domain. */
        if (!strcmp(line, "* destroyed")) kill(getpid(), SIGKILL);
    } while (*line == '*');
    if (sscanf(line, "%*u error %31s", code) == 1) return fail(errno_of(code));
    uint32_t ignored[2];
    if (!words) words = ignored;
    words[0] = words[1] = 0;
    sscanf(line, "%*u ok %u %u", &words[0], &words[1]);
    return 0;
}

int askf(guest_t *guest, uint32_t *words, const char *format, ...)
{
    char request[128];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(request, sizeof request, format, arguments);
    va_end(arguments);
    return length < (int)sizeof request ? ask(guest, words, request, length) : fail(EINVAL);
}

void leave(guest_t *guest)
{
    if (--guest->users > 0) return;
    /* Waits for the answer: whoever connects next finds the ports free. */
    askf(guest, NULL, "0 leave\n");
    for (guest_t **at = &guests; *at; at = &(*at)->next)
        if (*at == guest) {
            *at = guest->next;
            break;
        }
    for (struct port *port = guest->ports, *next; port; port = next) {
        next = port->next;
        if (port->fd >= 0) close(port->fd);
        free(port);
    }
    if (guest->events >= 0) close(guest->events);
    close(guest->control);
    free(guest);
}

/* Joins the domain that the environment names. */
guest_t *join(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *domid = getenv("VCHAN_DOMID");
    guest_t *guest = calloc(1, sizeof *guest);
    if (!guest) return NULL;
    char path[sizeof directory + 24];
    uint32_t words[2];
    guest->users = 1;
    guest->events = -1;
    guest->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control", directory);
    if (guest->control < 0 || connect(guest->control, (struct sockaddr *)&address, sizeof address)) goto failed;
    if (domid ? askf(guest, words, "0 join %s\n", domid) : askf(guest, words, "0 join\n")) goto failed;
    snprintf(path, sizeof path, "%s/evt.%u", directory, words[1]);
    guest->events = open(path, O_RDWR | O_CLOEXEC);
    if (guest->events < 0) goto failed;
    if (!domid) {
        char number[12];
        snprintf(number, sizeof number, "%u", words[0]);
        setenv("VCHAN_DOMID", number, 1);
    }
    snprintf(path, sizeof path, "%s/xs.%u", directory, words[0]);
    setenv("XENSTORED_PATH", path, 1);
    guest->next = guests;
    return guests = guest;
failed:
    if (guest->control >= 0) close(guest->control);
    free(guest);
    return NULL;
}

/* The child has none of its parent's handles: with them open, the host would not see the parent's end. */
static void forked(void)
{
    pthread_mutex_init(&mutex, NULL);
    for (guest_t *guest = guests; guest; guest = guest->next) {
        close(guest->control);
        close(guest->events);
        guest->control = guest->events = -1;
    }
    guests = common = NULL;
    forget_pages();
}

static int find_directory(void)
{
    const char *host = getenv("VCHAN_HOST"), *runtime = getenv("XDG_RUNTIME_DIR");
    int length = host && *host         ? snprintf(directory, sizeof directory, "%s", host)
                 : runtime && *runtime ? snprintf(directory, sizeof directory, "%s/vchan-host", runtime)
                                       : snprintf(directory, sizeof directory, "/dev/shm/vchan-host-%u", (unsigned)getuid());
    if (length >= (int)sizeof directory) return fail(ENAMETOOLONG);
    /* The program may change its working directory later. */
    char *absolute = realpath(directory, NULL);
    if (!absolute) return -1;
    length = snprintf(directory, sizeof directory, "%s", absolute);
    free(absolute);
    return length < (int)sizeof directory ? 0 : fail(ENAMETOOLONG);
}

/* Joins the host at first use; the mutex is held. */
static int attach_once(void)
{
    char path[sizeof directory + 8];
    struct stat stat;
    if (common) return 0;
    if (!table) {
        if (find_directory()) return -1;
        snprintf(path, sizeof path, "%s/pages", directory);
        if (pages < 0) pages = open(path, O_RDWR | O_CLOEXEC);
        snprintf(path, sizeof path, "%s/ports", directory);
        int ports = open(path, O_RDWR | O_CLOEXEC);
        void *mapped = pages < 0 || ports < 0 || fstat(ports, &stat)
                           ? MAP_FAILED
                           : mmap(NULL, stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, ports, 0);
        if (ports >= 0) close(ports);
        if (mapped == MAP_FAILED) return -1;
        /* Whoever rings checks every number against this: anything may stand in the table. */
        table_size = stat.st_size / sizeof *table;
        table = mapped;
        pthread_atfork(NULL, NULL, forked);
    }
    return (common = join()) ? 0 : -1;
}

int attach(void)
{
    pthread_mutex_lock(&mutex);
    int result = attach_once();
    int error = errno;
    pthread_mutex_unlock(&mutex);
    if (result) fprintf(stderr, "xenshim: cannot join a host at %s: %s (start one with 'vchan host')\n", directory, strerror(error));
    errno = error;
    return result;
}

struct xs_handle *xs_open(unsigned long flags)
{
    struct xs_handle *(*real)(unsigned long) = (struct xs_handle * (*)(unsigned long)) dlsym(RTLD_NEXT, "xs_open");
    if (!real) return fail(ENOSYS), NULL;
    return attach() ? NULL : real(flags);
}

/* Xen's vchan-socket-proxy asks for no more than whether a domain is there, and takes a failure for yes. Whoever wants more opens with no flags. */
struct xc_interface_core *xc_interface_open(void *logger, void *dombuild_logger, unsigned flags)
{
    enum { DUMMY = 1, NON_REENTRANT = 2 };
    struct xc_interface_core *(*real)(void *, void *, unsigned) =
        (struct xc_interface_core * (*)(void *, void *, unsigned)) dlsym(RTLD_NEXT, "xc_interface_open");
    if (!real) return fail(ENOSYS), NULL;
    return real(logger, dombuild_logger, flags == NON_REENTRANT ? flags | DUMMY : flags);
}
MISSING(xc_domain_getinfo)
MISSING(xc_domain_getinfo_single)
