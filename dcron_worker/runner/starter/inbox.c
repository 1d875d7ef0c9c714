/* Orders as they come from the launcher: four bytes of length (big endian), then the order, whose
   form order.py gives. */
#define _GNU_SOURCE
#include "starter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ = 1 << 18, LENGTH = 4, LONGEST = 256 << 20 };
enum { LEASED = 1, CHANGE = 2, DIRECTORY = 4, BORN = 8 };
enum { NUMBERS = 7, FIXED_STRINGS = 5 };

static char *data;
static size_t begin, end, room;

static _Noreturn void refuse(const char *what) {
    fprintf(stderr, "orders that are no launcher's of this release: %s\n", what);
    exit(1);
}

static void *need(void *memory) {
    if (memory == NULL) {
        fprintf(stderr, "the starter ends: no memory for orders\n");
        exit(1);
    }
    return memory;
}

bool inbox_read(void) {
    if (begin > 0) {
        memmove(data, data + begin, end - begin);
        end -= begin;
        begin = 0;
    }
    if (room - end < READ) {
        room = end + READ;
        data = need(realloc(data, room));
    }
    ssize_t count = read(ORDERS, data + end, READ);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    end += (size_t)count;
    return count > 0;
}

static uint32_t number(const char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

/* The length of the first message; 0 while it is not whole. */
static size_t whole(void) {
    if (end - begin < LENGTH)
        return 0;
    size_t length = number(data + begin);
    if (length == 0 || length > LONGEST)
        refuse("a message of an impossible length");
    return end - begin - LENGTH >= length ? length : 0;
}

bool inbox_is_empty(void) { return whole() == 0; }

/* The next string of the message; `from` is moved to behind it. */
static char *string(char **from, const char *to) {
    char *found = *from, *nul = memchr(found, 0, (size_t)(to - found));
    if (nul == NULL)
        refuse("a string without an end");
    *from = nul + 1;
    return found;
}

static char **strings(char **from, const char *to, size_t count, char ***array) {
    char **first = *array;
    for (size_t i = 0; i < count; i++)
        first[i] = string(from, to);
    first[count] = NULL;
    *array += count + 1;
    return first;
}

bool inbox_first(struct order *order) {
    size_t length = whole();
    if (length == 0)
        return false;
    char *at = data + begin + LENGTH;
    const char *to = at + length;
    uint32_t n[NUMBERS];
    if (length < sizeof n)
        refuse("a short message");
    for (int i = 0; i < NUMBERS; i++, at += sizeof *n)
        n[i] = number(at);
    size_t groups = n[3], cgroups = n[4], arguments = n[5], variables = n[6];
    /* A group takes four bytes and a string one at least: so no array is larger than the message. */
    if (sizeof *n * groups + FIXED_STRINGS + cgroups + arguments + variables > (size_t)(to - at))
        refuse("more was announced than there is");
    if (arguments == 0)
        refuse("no program");
    size_t pointers = cgroups + arguments + variables + 3;
    order->memory = need(malloc(pointers * sizeof(char *) + groups * sizeof(gid_t)));
    char **array = order->memory;
    order->groups = (gid_t *)(array + pointers);
    order->group_count = groups;
    for (size_t i = 0; i < groups; i++, at += sizeof *n)
        order->groups[i] = number(at);
    order->leased = n[0] & LEASED;
    order->change = n[0] & CHANGE;
    order->born = n[0] & BORN && cgroups > 0;
    order->uid = n[1];
    order->gid = n[2];
    order->run_id = string(&at, to);
    order->output = string(&at, to);
    order->user = string(&at, to);
    order->home = string(&at, to);
    order->directory = string(&at, to);
    if (!(n[0] & DIRECTORY))
        order->directory = NULL;
    order->cgroups = strings(&at, to, cgroups, &array);
    order->argv = strings(&at, to, arguments, &array);
    order->environment = strings(&at, to, variables, &array);
    if (at != to)
        refuse("something behind an order");
    return true;
}

void inbox_drop(struct order *order) {
    free(order->memory);
    begin += LENGTH + whole();
}

void inbox_clear(void) { begin = end = 0; }
