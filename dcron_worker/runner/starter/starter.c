/* The starter: a small process that forks the launcher's runs, and sees how they exit.

   usage: dcron-starter LEASE LOG SOFT HARD: two paths, and the two limits of open files of runs.

   In C because a fork copies its parent's page tables and each page that one of both then touches: a
   start costs 40 % of what it costs from a Python process (docs/adr/0012-the-starter-in-c.md).
   It holds no state that matters and decides nothing. What it sees it appends to its log: `started`
   (by the child itself, before exec), `refused`, `exited` (before the child is reaped). The launcher
   reads the log; a byte in a pipe says that there is something new. Where the disk is full the pipe
   takes records; while that is full too they wait: an order is not done, a child not reaped, until
   somebody could be told, or there is no launcher to be told.

   When the launcher goes, its starter starts nothing more and stays until its last child has exited,
   so that the next launcher finds the exit codes in the log. The log's first descriptor is locked,
   and shared with children until their start is in the log: whoever gets the lock knows that nothing
   is started by it any more, but what the log says. If the starter is killed, its children become
   the launcher's. */
#define _GNU_SOURCE
#include "starter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGAIN = 50 }; /* milliseconds until a record that nobody took is tried again */
enum { CHUNK = 16 }; /* forks between two looks at who has exited */

struct child {
    pid_t pid;
    char run_id[];
};

static void *children; /* a tree of them, by pid */
static int child_count;
static int wake; /* an eventfd */
static bool serving = true;
static bool untold; /* whether a record waits for room */

static int by_pid(const void *one, const void *other) {
    pid_t a = ((const struct child *)one)->pid, b = ((const struct child *)other)->pid;
    return (a > b) - (a < b);
}

static _Noreturn void give_up(const char *what) {
    fprintf(stderr, "the starter ends: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void on_child(int number) {
    (void)number;
    int saved = errno;
    (void)!write(wake, &(uint64_t){1}, sizeof(uint64_t)); /* if it is full we are awake anyhow */
    errno = saved;
}

static void on_other(int number) { (void)number; }

/* What each run has from here. A signal that somebody ignored would stay so in a run; one that is
   handled gets its default by exec. */
static void take_defaults(const char *soft, const char *hard) {
    struct rlimit files = {strtoull(soft, NULL, 10), strtoull(hard, NULL, 10)};
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        give_up("the limit of open files");
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    struct sigaction child = {.sa_handler = on_child, .sa_flags = SA_RESTART};
    sigaction(SIGCHLD, &child, NULL);
    signal(SIGPIPE, on_other);
    signal(SIGXFSZ, on_other);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(022);
}

/* Where there is such a thing, and this process may. */
static void set(const char *path, int value) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    char text[16];
    (void)!write(file, text, (size_t)snprintf(text, sizeof text, "%d", value));
    close(file);
}

/* Before runs on the processor, also where the kernel weighs sessions against each other and not
   processes (autogroup): each run has a session of its own. Where memory is short a run goes first, and
   each would have to say so; so this small process has no better place than they, unlike the
   launcher, which gets its children should it be killed. */
static void take_place(void) {
    set("/proc/self/autogroup", getpriority(PRIO_PROCESS, 0));
    set("/proc/self/oom_score_adj", 0);
}

static void hear(void) {
    int timeout = untold ? AGAIN : inbox_is_empty() ? -1 : 0;
    struct pollfd watched[] = {{.fd = wake, .events = POLLIN}, {.fd = ORDERS, .events = POLLIN}};
    if (poll(watched, serving ? 2 : 1, timeout) <= 0)
        return;
    uint64_t count;
    if (watched[0].revents && read(wake, &count, sizeof count) < 0 && errno != EAGAIN)
        give_up("eventfd");
    if (serving && watched[1].revents && !inbox_read()) {
        serving = false; /* what was ordered is not started any more */
        inbox_clear();
        close(LOG);
    }
}

static bool told(bool done) {
    untold = untold || !done;
    return done;
}

/* The kernel's struct clone_args, which headers have since Linux 5.7. */
struct clone_how {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};
#ifdef SYS_clone3
enum { CLONE3 = SYS_clone3 };
#else
enum { CLONE3 = 435 }; /* headers before 5.3; where that is another number there is none */
#endif
static const uint64_t INTO_CGROUP = 1ULL << 33;

/* As fork, but into a cgroup of version 2. Who enters one later has the kernel stop each fork and exit
   of the whole host, sometimes until a grace period of RCU is over: 10 to 20 ms, many times a
   thousand starts. -1 and errno where that cannot be. The C library does not hear of it: no thread's
   state may matter here, and there is one thread. */
static pid_t fork_into(const char *cgroup) {
    int folder = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    struct clone_how how = {
        .flags = INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)folder};
    pid_t pid = (pid_t)syscall(CLONE3, &how, sizeof how);
    int error = errno;
    if (pid != 0)
        close(folder);
    errno = error;
    return pid;
}

/* Whether it is for this order only that there was no child. */
static bool may_work_again(int error) {
    return error == EAGAIN || error == ENOMEM || error == ENOENT || error == ENODEV ||
           error == EMFILE || error == ENFILE;
}

/* In the child it does not return. -1 and errno if there is none. */
static pid_t make_child(const struct order *order) {
    static bool unable; /* a kernel before 5.7, or a sandbox */
    int64_t before = boot_ns();
    if (order->born && !unable) {
        pid_t pid = fork_into(order->cgroups[0]);
        if (pid == 0)
            become(order, before, 1);
        if (pid > 0)
            return pid;
        unable = !may_work_again(errno);
        if (unable)
            fprintf(stderr, "runs enter their cgroups, which holds up the host for moments: they "
                            "cannot be born in them: %s\n", strerror(errno));
    }
    pid_t pid = fork(); /* it enters all of its cgroups, or says why not */
    if (pid == 0)
        become(order, before, 0);
    return pid;
}

/* False if it could not be, and nobody could be told. */
static bool start(const struct order *order) {
    struct child *child = malloc(sizeof *child + strlen(order->run_id) + 1);
    pid_t pid = child == NULL ? -1 : make_child(order);
    if (pid < 0) {
        char reason[128];
        snprintf(reason, sizeof reason, "cannot be started: %s", strerror(errno));
        free(child);
        return told(record_refused(order->run_id, false, reason));
    }
    child->pid = pid;
    strcpy(child->run_id, order->run_id);
    if (tsearch(child, &children, by_pid) == NULL)
        give_up("no memory for a child"); /* the launcher is told of its exit by the kernel */
    child_count++;
    return true;
}

static bool start_some(void) {
    struct order order;
    bool some = false;
    for (int i = 0; i < CHUNK && inbox_first(&order); i++) {
        if (!some)
            lease_refresh();
        some = true;
        bool done = start(&order);
        if (!done) {
            free(order.memory);
            break;
        }
        inbox_drop(&order);
    }
    return some;
}

static bool reap(void) {
    bool seen = false;
    for (;;) {
        siginfo_t found = {0};
        if (waitid(P_ALL, 0, &found, WEXITED | WNOHANG | WNOWAIT) != 0 || found.si_pid == 0)
            return seen;
        struct child key = {.pid = found.si_pid}, **node = tfind(&key, &children, by_pid);
        if (node != NULL) {
            struct child *child = *node;
            bool by_signal = found.si_code != CLD_EXITED;
            if (!told(record_exited(child->run_id, by_signal ? -found.si_status : found.si_status)))
                return seen;
            tdelete(child, &children, by_pid);
            free(child);
            child_count--;
            seen = true;
        }
        waitpid(found.si_pid, NULL, 0);
    }
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: dcron-starter LEASE LOG SOFT HARD; the launcher starts it\n");
        return 2;
    }
    for (int descriptor = ORDERS; descriptor <= LOG; descriptor++)
        if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0)
            give_up("a descriptor that the launcher passes");
    fcntl(TOLD, F_SETFL, O_WRONLY | O_NONBLOCK);
    wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0)
        give_up("eventfd");
    record_open(arguments[2]);
    lease_open(arguments[1]);
    take_defaults(arguments[3], arguments[4]);
    take_place();
    while (serving || child_count > 0) {
        hear();
        untold = false;
        bool begun = start_some();
        if (reap() || begun)
            record_hint();
    }
    return 0;
}
