/* What the starter's parts know of each other; starter.c says what it is for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The descriptors that the launcher passes, see starters.py. */
enum { ORDERS = 3, TOLD = 4, LOG = 5 };

/* One run to be started, with everything looked up: see order.py, which is the other side. Strings
   and arrays end with a NULL; what is here points into the message. */
struct order {
    char *run_id, *output, *user, *home;
    char *directory; /* NULL: the user's home */
    bool leased;     /* it may not begin once the lease has passed */
    bool change;     /* the user is another one than the launcher's */
    bool born;       /* it begins in its first cgroup, if the kernel can do that */
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t group_count;
    char **cgroups, **argv, **environment;
    void *memory; /* of the arrays */
};

/* inbox.c: orders that came. */
/* False: the launcher has gone. Ends the program where what came is no launcher's. */
bool inbox_read(void);
/* The first order that is not done, or false. It stays so until inbox_drop. */
bool inbox_first(struct order *order);
bool inbox_is_empty(void);
void inbox_drop(struct order *order);
void inbox_clear(void);

/* lease.c */
void lease_open(const char *path);
/* Follow the path if the file was removed and made again. */
void lease_refresh(void);
/* Seconds of CLOCK_BOOTTIME; 0 if nobody has renewed since boot. Safe after a fork. */
double lease_until(void);

/* record.c: what the launcher is told. False: neither log nor pipe has room now. */
void record_open(const char *path);
bool record_exited(const char *run_id, int code);
bool record_refused(const char *run_id, bool lease, const char *reason);
/* Into the log only, which is locked until then; errno if it cannot be. `before` is boot_ns at the
   fork. */
bool record_started(const char *run_id, int64_t before);
/* A byte into the pipe: there is something new in the log. */
void record_hint(void);

/* Nanoseconds of CLOCK_BOOTTIME. */
int64_t boot_ns(void);

/* become.c: in a child, the whole way to its program, or to the end. `joined`: how many of its
   cgroups it is in already. */
_Noreturn void become(const struct order *order, int64_t before, int joined);

/* Write all of it; false and errno if there is no room. */
bool write_all(int descriptor, const char *data, size_t length);
