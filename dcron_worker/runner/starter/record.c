/* What the launcher is told: lines of JSON in a log, and a pipe for where the disk is full. Each
   record begins and ends with a newline, so that one that is torn spoils itself only (lines.py). */
#define _GNU_SOURCE
#include "starter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000, LONGEST_REASON = 600 };

static int own; /* the log, not locked and kept to the end */

void record_open(const char *path) {
    own = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (own < 0) {
        fprintf(stderr, "the log %s cannot be opened: %s\n", path, strerror(errno));
        exit(1);
    }
}

bool write_all(int descriptor, const char *data, size_t length) {
    while (length > 0) {
        ssize_t count = write(descriptor, data, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        data += count;
        length -= (size_t)count;
    }
    return true;
}

/* By the pipe a record comes at once and, shorter than PIPE_BUF, in one piece. */
static bool tell(const char *record, int length) {
    if (write_all(own, record, (size_t)length) || write(TOLD, record, (size_t)length) >= 0)
        return true;
    if (errno != EPIPE)
        return false;
    /* The launcher has gone, and the disk is full: the next one sees that the run is over. */
    fprintf(stderr, "nobody could be told of %.*s\n", length - 2, record + 1);
    return true;
}

bool record_exited(const char *run_id, int code) {
    char record[PIPE_BUF];
    int length = snprintf(record, sizeof record,
                          "\n{\"t\":\"exited\",\"run_id\":\"%s\",\"code\":%d}\n", run_id, code);
    return tell(record, length);
}

/* As a string of JSON has to be; `to` has room for six times as much. Other bytes stay as they are,
   whatever they mean: the reader replaces what is no UTF-8. */
static void escape(const char *text, char *to) {
    for (size_t i = 0; text[i] != 0 && i < LONGEST_REASON; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < ' ' || byte == '"' || byte == '\\')
            to += sprintf(to, "\\u%04x", byte);
        else
            *to++ = (char)byte;
    }
    *to = 0;
}

bool record_refused(const char *run_id, bool lease, const char *reason) {
    char escaped[6 * LONGEST_REASON + 1], record[PIPE_BUF];
    escape(reason, escaped);
    int length = snprintf(record, sizeof record,
                          "\n{\"t\":\"refused\",\"run_id\":\"%s\",\"reason\":\"%s\",\"lease\":%s}\n",
                          run_id, escaped, lease ? "true" : "false");
    return tell(record, length);
}

int64_t boot_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * (int64_t)SECOND + now.tv_nsec;
}

/* When this process began, in clock ticks since boot, as /proc/<pid>/stat counts; 0: not known. */
static unsigned long long start_ticks(void) {
    char text[1024];
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    close(file);
    if (length < 0)
        return 0;
    text[length] = 0;
    /* The name is in parentheses and may hold any byte. The 20th field behind it is it. */
    char *at = strrchr(text, ')');
    for (int field = 0; at != NULL && field < 20; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}

bool record_started(const char *run_id, int64_t before) {
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t boot = boot_ns(), tick = SECOND / sysconf(_SC_CLK_TCK);
    /* It began between `before` and now: where that is one tick, /proc need not be asked. */
    unsigned long long ticks =
        boot / tick == before / tick ? (unsigned long long)(boot / tick) : start_ticks();
    char record[PIPE_BUF];
    int length = snprintf(
        record, sizeof record,
        "\n{\"t\":\"started\",\"run_id\":\"%s\",\"pid\":%d,\"ticks\":%llu,"
        "\"wall\":%lld.%09ld,\"boot\":%lld.%09lld}\n",
        run_id, getpid(), ticks, (long long)wall.tv_sec, wall.tv_nsec, (long long)(boot / SECOND),
        (long long)(boot % SECOND));
    return write_all(LOG, record, (size_t)length);
}

void record_hint(void) {
    if (write(TOLD, "\n", 1) < 0)
        return; /* the launcher has not read the last one, or has gone */
}
