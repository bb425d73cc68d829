/* What libxenevtchn and libxengnttab promise beyond libxenvchan's use of them, in one process that is at both ends. Prints what is not so. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>

static int failures;

#define CHECK(condition) \
    do \
        if (!(condition)) { \
            printf("failed: line %d: %s\n", __LINE__, #condition); \
            failures++; \
        } \
    while (0)

static int readable(xenevtchn_handle *handle)
{
    struct pollfd fd = { .fd = xenevtchn_fd(handle), .events = POLLIN };
    return poll(&fd, 1, 0) == 1;
}

int main(int argc, char **argv)
{
    uint32_t self = argc > 1 ? atoi(argv[1]) : 0;
    xenevtchn_handle *one = xenevtchn_open(NULL, 0), *two = xenevtchn_open(NULL, 0);
    xengnttab_handle *maps = xengnttab_open(NULL, 0);
    xengntshr_handle *shares = xengntshr_open(NULL, 0);
    CHECK(one && two && maps && shares);
    if (failures) return 1;

    /* Binding leaves an event at the end that binds, and none at the other. */
    int left = xenevtchn_bind_unbound_port(one, self);
    CHECK(left > 0);
    int right = xenevtchn_bind_interdomain(two, self, left);
    CHECK(right > 0);
    CHECK(!readable(one));
    CHECK(readable(two));
    CHECK(xenevtchn_pending(two) == right);
    CHECK(!readable(two));

    /* Until it is unmasked a port brings nothing; then what came meanwhile comes once. */
    CHECK(!xenevtchn_notify(one, left) && !xenevtchn_notify(one, left));
    CHECK(!readable(two));
    CHECK(!xenevtchn_unmask(two, right));
    CHECK(readable(two));
    CHECK(xenevtchn_pending(two) == right);
    CHECK(!xenevtchn_unmask(two, right));
    CHECK(!readable(two));

    /* Each handle has its own events. */
    CHECK(!xenevtchn_notify(two, right));
    CHECK(readable(one) && !readable(two));
    CHECK(xenevtchn_pending(one) == left && !xenevtchn_unmask(one, left));

    /* A port is bound once, and known to its own handle alone. */
    errno = 0;
    CHECK(xenevtchn_bind_interdomain(two, self, left) == -1 && errno == EINVAL);
    errno = 0;
    CHECK(xenevtchn_notify(two, left) == -1 && errno == EINVAL);

    /* Pages are shared, whatever their order, and a mapping that may not write is one. */
    uint32_t refs[3], ref, mixed[2];
    char *pages = xengntshr_share_pages(shares, self, 3, refs, 1);
    CHECK(pages && !pages[0]);
    pages[0] = 'a';
    pages[2 * 4096] = 'c';
    mixed[0] = refs[2];
    mixed[1] = refs[0];
    char *mapped = xengnttab_map_domain_grant_refs(maps, 2, self, mixed, PROT_READ);
    CHECK(mapped && mapped[0] == 'c' && mapped[4096] == 'a');
    errno = 0;
    CHECK(xengnttab_unmap(maps, mapped, 1) == -1 && errno == EINVAL);
    CHECK(!xengnttab_unmap(maps, mapped, 2));
    CHECK(!xengntshr_unshare(shares, pages, 3));
    errno = 0;
    CHECK(!xengnttab_map_grant_ref(maps, self, refs[0], PROT_READ) && errno == EINVAL);
    errno = 0;
    CHECK(!xengnttab_map_grant_ref_notify(maps, self, refs[0], PROT_READ, 20, 60000) && errno == EINVAL);

    /* Unmapping clears the byte and rings, on both sides. */
    char *page = xengntshr_share_page_notify(shares, self, &ref, 1, 21, left);
    CHECK(page);
    page[20] = page[21] = 1;
    char *other = xengnttab_map_grant_ref_notify(maps, self, ref, PROT_READ | PROT_WRITE, 20, right);
    CHECK(other && other[21] == 1);
    CHECK(!xengnttab_unmap(maps, other, 1));
    CHECK(page[20] == 0 && page[21] == 1);
    CHECK(readable(one) && xenevtchn_pending(one) == left && !xenevtchn_unmask(one, left));

    /* A child has no handles of its parent's, and its end releases nothing. */
    pid_t child = fork();
    if (!child) {
        xenevtchn_handle *own = xenevtchn_open(NULL, 0);
        _exit(own && xenevtchn_bind_unbound_port(own, self) > 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(!readable(one) && !readable(two));
    CHECK(!xenevtchn_notify(one, left) && readable(two));
    CHECK(xenevtchn_pending(two) == right && !xenevtchn_unmask(two, right));

    /* The notify outlives the handle of its port. */
    other = xengnttab_map_grant_ref(maps, self, ref, PROT_READ);
    CHECK(other && other[21] == 1);
    CHECK(!xenevtchn_close(one));
    CHECK(!readable(two));
    CHECK(!xengntshr_unshare(shares, page, 1));
    CHECK(other[21] == 0);
    CHECK(readable(two) && xenevtchn_pending(two) == right);
    CHECK(!xengnttab_unmap(maps, other, 1));

    CHECK(!xenevtchn_unbind(two, right));
    CHECK(!xenevtchn_close(two) && !xengnttab_close(maps) && !xengntshr_close(shares));
    return failures ? 1 : 0;
}
