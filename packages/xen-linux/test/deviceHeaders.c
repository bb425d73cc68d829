/* Prints what the kernel's headers make of the ioctls of /dev/xen and of their arguments: a name and a number, or a name and bytes, a line. */
#include <asm-generic/ioctl.h>
#include <linux/types.h>
#include <stdio.h>

/* Xen's own types, which the headers take for given. */
typedef __u16 domid_t;
typedef __u32 grant_ref_t;
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

static void bytes(const char *name, const void *start, size_t length) {
  printf("%s ", name);
  for (size_t at = 0; at < length; at++) printf("%02x", ((const unsigned char *)start)[at]);
  printf("\n");
}

#define NUMBER(name) printf("%s %lu\n", #name, (unsigned long)IOCTL_##name)

int main(void) {
  NUMBER(GNTALLOC_ALLOC_GREF);
  NUMBER(GNTALLOC_DEALLOC_GREF);
  NUMBER(GNTALLOC_SET_UNMAP_NOTIFY);
  NUMBER(GNTDEV_MAP_GRANT_REF);
  NUMBER(GNTDEV_UNMAP_GRANT_REF);
  NUMBER(GNTDEV_SET_UNMAP_NOTIFY);
  NUMBER(EVTCHN_BIND_INTERDOMAIN);
  NUMBER(EVTCHN_BIND_UNBOUND_PORT);
  NUMBER(EVTCHN_UNBIND);
  NUMBER(EVTCHN_NOTIFY);
  NUMBER(EVTCHN_RESET);

  struct ioctl_gntalloc_alloc_gref alloc = { .domid = 0x7fef, .flags = GNTALLOC_FLAG_WRITABLE, .count = 1 };
  bytes("alloc", &alloc, sizeof alloc);
  alloc.index = 0x1122334455000;
  alloc.gref_ids[0] = 0xfffffffe;
  bytes("allocated", &alloc, sizeof alloc);
  struct ioctl_gntdev_map_grant_ref map = { .count = 1, .refs = { { .domid = 5, .ref = 0x80000001 } } };
  bytes("map", &map, sizeof map);
  map.index = 0x3000;
  bytes("mapped", &map, sizeof map);
  struct ioctl_gntalloc_dealloc_gref dealloc = { .index = 0x1122334455000, .count = 3 };
  bytes("dealloc", &dealloc, sizeof dealloc);
  struct ioctl_gntdev_unmap_grant_ref unmap = { .index = 0x1122334455000, .count = 3 };
  bytes("unmap", &unmap, sizeof unmap);
  unsigned action = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT;
  struct ioctl_gntalloc_unmap_notify lent = { .index = 0x3000 + 21, .action = action, .event_channel_port = 0x1234 };
  bytes("lent", &lent, sizeof lent);
  struct ioctl_gntdev_unmap_notify borrowed = { .index = 0x3000 + 21, .action = action, .event_channel_port = 0x1234 };
  bytes("borrowed", &borrowed, sizeof borrowed);
  struct ioctl_evtchn_bind_interdomain interdomain = { .remote_domain = 5, .remote_port = 0xfffffff0 };
  bytes("interdomain", &interdomain, sizeof interdomain);
  struct ioctl_evtchn_bind_unbound_port unbound = { .remote_domain = 0x7fef };
  bytes("unbound", &unbound, sizeof unbound);
  struct ioctl_evtchn_unbind unbind = { .port = 0x7fef };
  bytes("unbind", &unbind, sizeof unbind);
  struct ioctl_evtchn_notify notify = { .port = 0x7fef };
  bytes("notify", &notify, sizeof notify);
  return 0;
}
