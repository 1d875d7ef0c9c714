/* Until when leased runs may live: the reading side of lease.py, which gives the file's form. */
#define _GNU_SOURCE
#include "starter.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BOOT_ID = 36 };

static const char *path;
static int descriptor = -1;
static char boot_id[BOOT_ID];

static void follow(void) {
    int new = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (new < 0) { /* the one that is open passes: the safe side */
        fprintf(stderr, "the lease %s cannot be opened: %s\n", path, strerror(errno));
        return;
    }
    if (descriptor >= 0)
        close(descriptor);
    descriptor = new;
}

void lease_open(const char *lease) {
    path = lease;
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, boot_id, BOOT_ID) != BOOT_ID) {
        fprintf(stderr, "the starter ends: the boot id cannot be read: %s\n", strerror(errno));
        exit(1);
    }
    close(file);
    follow();
}

void lease_refresh(void) {
    struct stat named, opened;
    if (stat(path, &named) == 0 && fstat(descriptor, &opened) == 0 &&
        named.st_ino == opened.st_ino && named.st_dev == opened.st_dev)
        return;
    follow();
}

double lease_until(void) {
    char text[sizeof(uint64_t) + BOOT_ID];
    if (pread(descriptor, text, sizeof text, 0) != sizeof text ||
        memcmp(text + sizeof(uint64_t), boot_id, BOOT_ID) != 0)
        return 0;
    uint64_t bits;
    double until;
    memcpy(&bits, text, sizeof bits);
    bits = le64toh(bits);
    memcpy(&until, &bits, sizeof until);
    return until;
}
