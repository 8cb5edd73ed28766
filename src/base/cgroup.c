/* cgroup.c: reads /proc/self/cgroup and walks from this process's group up to the root. Inside a container the
 * path may not exist in the mounted tree; walking up reaches what does. Nothing here fails: no file, no limit. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool read_text(char *text, int size, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int n = 0;

    if (fd < 0)
        return false;
    while (n < size - 1) {
        ssize_t got = read(fd, text + n, (size_t)(size - 1 - n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (int)got;
    }
    close(fd);
    text[n] = '\0';
    return n > 0;
}

uint64_t number_after(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, n) == 0)
            return strtoull(line + n, NULL, 10);
    }
    return 0;
}

/* The path of this process's group: of version 2 (controller ""), or of a version 1 controller. */
static bool group_path(char *path, int size, const char *controller)
{
    char text[4096];

    if (!read_text(text, sizeof text, "/proc/self/cgroup"))
        return false;
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *names = strchr(line, ':');
        char *group = names ? strchr(names + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        if (strcmp(names + 1, controller) == 0 && snprintf(path, (size_t)size, "%s", group) < size)
            return true;
    }
    return false;
}

typedef struct group_files {
    const char *controller, *root, *limit, *usage, *cache[2];
} group_files;

static const group_files memory_files[] = {
    { "", "/sys/fs/cgroup", "memory.max", "memory.current", { "inactive_file ", "active_file " } },
    { "memory",
      "/sys/fs/cgroup/memory",
      "memory.limit_in_bytes",
      "memory.usage_in_bytes",
      { "total_inactive_file ", "total_active_file " } },
};

static bool read_group_file(char *text, int size, const char *root, const char *group, const char *name)
{
    char path[1400];

    return snprintf(path, sizeof path, "%s%s/%s", root, group, name) < (int)sizeof path && read_text(text, size, path);
}

static uint64_t used_by_group(const group_files *files, const char *group)
{
    char text[8192];
    uint64_t used, cache;

    if (!read_group_file(text, sizeof text, files->root, group, files->usage))
        return 0;
    used = strtoull(text, NULL, 10);
    if (!read_group_file(text, sizeof text, files->root, group, "memory.stat"))
        return used;
    cache = number_after(text, files->cache[0]) + number_after(text, files->cache[1]);
    return used > cache ? used - cache : 0;
}

/* Cuts the last component; false when the root has been done. */
static bool go_up(char *group)
{
    char *slash = strrchr(group, '/');

    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

cgroup_memory cgroup_memory_limit(void)
{
    cgroup_memory tightest = { UINT64_MAX, 0 };

    for (size_t i = 0; i < sizeof memory_files / sizeof memory_files[0]; i++) {
        const group_files *files = &memory_files[i];
        char group[1024], text[64];
        if (!group_path(group, sizeof group, files->controller))
            continue;
        do {
            uint64_t limit;
            if (!read_group_file(text, sizeof text, files->root, group, files->limit) || text[0] == 'm') /* "max" */
                continue;
            limit = strtoull(text, NULL, 10);
            if (limit < tightest.limit && limit < UINT64_C(1) << 62) /* version 1 writes "none" as a huge number */
                tightest = (cgroup_memory){ limit, used_by_group(files, group) };
        } while (go_up(group));
    }
    return tightest;
}

static int processors_of(long long quota, long long period)
{
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int cgroup_cpu_limit(void)
{
    char group[1024], text[64], period[64];
    int least = 0;

    if (group_path(group, sizeof group, "")) {
        do {
            long long quota = 0, every = 0;
            int processors;
            if (!read_group_file(text, sizeof text, "/sys/fs/cgroup", group, "cpu.max") ||
                sscanf(text, "%lld %lld", &quota, &every) != 2)
                continue;
            processors = processors_of(quota, every);
            if (processors > 0 && (least == 0 || processors < least))
                least = processors;
        } while (go_up(group));
    }
    if (least == 0 && read_text(text, sizeof text, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us") &&
        read_text(period, sizeof period, "/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
        least = processors_of(strtoll(text, NULL, 10), strtoll(period, NULL, 10));
    return least;
}
