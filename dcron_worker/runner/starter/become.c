/* What a forked child does until it has become its run. What fails before exec is said in words, in
   a record that the launcher reads before it hears of the child's end. */
#define _GNU_SOURCE
#include "starter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { NOT_STARTED = 127, LONG = 8192 };

static const struct order *order;

static _Noreturn void refused(bool lease, const char *reason) {
    while (!record_refused(order->run_id, lease, reason))
        poll(&(struct pollfd){.fd = TOLD, .events = POLLOUT}, 1, -1);
    _exit(NOT_STARTED);
}

static _Noreturn __attribute__((format(printf, 1, 2))) void refuse(const char *format, ...) {
    char reason[LONG];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    refused(false, reason);
}

static void join(const char *cgroup) {
    char path[LONG];
    snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, "0", 1) < 0)
        refuse("cannot enter its cgroup %s: %s", cgroup, strerror(errno));
    close(file);
}

static void take_output(void) {
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
    int file = open(order->output, flags, 0600);
    /* Its owner, so that opening /dev/stderr works; the folder is closed to everyone else. */
    if (file < 0 || (order->change && fchown(file, order->uid, (gid_t)-1) != 0) ||
        dup2(file, 1) < 0 || dup2(file, 2) < 0)
        refuse("cannot be started: its output %s: %s", order->output, strerror(errno));
}

static void take_user(void) {
    if (setgroups(order->group_count, order->groups) != 0 ||
        setresgid(order->gid, order->gid, order->gid) != 0 ||
        setresuid(order->uid, order->uid, order->uid) != 0)
        refuse("cannot be started: user %s: %s", order->user, strerror(errno));
}

static void enter(void) {
    if (order->directory != NULL) {
        if (chdir(order->directory) != 0)
            refuse("working directory %s: %s (as user %s)", order->directory, strerror(errno),
                   order->user);
    } else if (chdir(order->home) != 0 && chdir("/") != 0) {
        refuse("working directory /: %s", strerror(errno));
    }
}

static _Noreturn void explain_denial(const char *program) {
    struct stat status;
    struct statvfs mounted;
    if (stat(program, &status) != 0 || statvfs(program, &mounted) != 0)
        refuse("%s: cannot be reached by user %s", program, order->user);
    if (S_ISDIR(status.st_mode))
        refuse("%s: is a directory", program);
    if (mounted.f_flag & ST_NOEXEC)
        refuse("%s: lies on a file system that is mounted noexec", program);
    if (access(program, X_OK) != 0)
        refuse("%s: is not executable by user %s", program, order->user);
    refuse("%s: permission denied to user %s", program, order->user);
}

/* Why exec refused, in words that say what to do. */
static _Noreturn void explain(const char *program, int error) {
    bool path = strchr(program, '/') != NULL;
    if (error == ENOEXEC)
        refuse("%s: neither a program for this machine nor a script with a #! line", program);
    if (error == ENOENT && path && access(program, F_OK) == 0)
        refuse("%s: the interpreter that its #! line or its ELF header names is missing", program);
    if (error == ENOENT && !path)
        refuse("%s: not found on the PATH", program);
    if (error == EACCES && path)
        explain_denial(program);
    refuse("%s: %s", program, strerror(error));
}

static const char *search_path(void) {
    for (char **variable = order->environment; *variable != NULL; variable++)
        if (strncmp(*variable, "PATH=", 5) == 0)
            return *variable + 5;
    return "/bin:/usr/bin";
}

/* As execvpe does, but that a file without #! is not given to a shell, and that it is the run's PATH
   that counts. The first error that says more than "not there" is the one that is told. */
static int execute_by_path(const char *name) {
    int error = ENOENT;
    const char *at = search_path(), *colon;
    do {
        char program[LONG];
        colon = strchrnul(at, ':');
        int length = (int)(colon - at);
        snprintf(program, sizeof program, "%.*s/%s", length ? length : 1, length ? at : ".", name);
        execve(program, order->argv, order->environment);
        if (error == ENOENT && errno != ENOTDIR)
            error = errno;
        at = colon + 1;
    } while (*colon != 0);
    return error;
}

void become(const struct order *given, int64_t before, int joined) {
    order = given;
    setsid();
    setpriority(PRIO_PROCESS, 0, 0); /* the starter comes before runs; to be less nice takes root */
    if (!record_started(order->run_id, before))
        refuse("the start could not be written down: %s", strerror(errno));
    /* The starter's and its other children's descriptors keep the lock. What follows may hang, such
       as on a file server that does not answer. */
    close(LOG);
    for (char **cgroup = order->cgroups + joined; *cgroup != NULL; cgroup++)
        join(*cgroup);
    take_output();
    if (order->change)
        take_user();
    enter();
    if (order->leased && (double)boot_ns() / 1e9 >= lease_until())
        refused(true, "lease passed before start");
    const char *program = order->argv[0];
    if (strchr(program, '/') == NULL)
        explain(program, execute_by_path(program));
    execve(program, order->argv, order->environment);
    explain(program, errno);
}
