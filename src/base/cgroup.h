/* cgroup.h: limits that a container puts on this process, and the small files they are read from. */
#ifndef LORAC_CGROUP_H
#define LORAC_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* Reads a small text file of the kernel's (cut at the buffer's size); false when it cannot. */
bool read_text(char *text, int size, const char *path);
/* The number after `name` in a text of "name number" lines; 0 when it is not there. */
uint64_t number_after(const char *text, const char *name);

typedef struct cgroup_memory {
    uint64_t limit, used;
} cgroup_memory;

/* The tightest memory limit on the way up from this process's group, and what counts against it without the file
 * cache, which the kernel gives back; limit UINT64_MAX when there is none. Version 2 and version 1 groups. */
cgroup_memory cgroup_memory_limit(void);
/* Processors' worth of time per second, rounded up; 0 when not limited. */
int cgroup_cpu_limit(void);

#endif
