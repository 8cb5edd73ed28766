/* jinja_machine.c: the workspace of one rendering, its limits and its errors. The workspace is a chain of blocks that
 * only grows; text at its end can grow in place, so that building a text piece by piece costs no copies. */
#include "array.h"
#include "jinja.h"
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct workspace_block {
    struct workspace_block *before;
} workspace_block;

enum { FIRST_BLOCK = 16 << 10, LARGEST_BLOCK = 4 << 20, ALIGNMENT = 16 };

int(machine_fail)(machine *m, const char *format, ...)
{
    char message[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    fault where = { .file = m->t->file };
    if (m->at) {
        where.line = m->at->line;
        where.column = m->at->column;
    }
    return fail_at(LORAC_ERROR_DATA, where, "%s", message);
}

int machine_spend(machine *m, size_t work)
{
    m->steps += (long long)work + 1;
    if (m->steps > JINJA_STEP_LIMIT || work > (size_t)JINJA_STEP_LIMIT)
        return machine_fail(m, "the template ran %lld steps without coming to an end", JINJA_STEP_LIMIT);
    return LORAC_OK;
}

int machine_enter(machine *m)
{
    return ++m->depth > JINJA_DEPTH_LIMIT ? machine_fail(m, "the template calls itself too deeply") : LORAC_OK;
}

int(work_status)(void)
{
    return lorac_last_error()->status;
}

/* Starts a block with room for `bytes`. */
static int grow(machine *m, size_t bytes)
{
    size_t size = m->bytes < FIRST_BLOCK ? FIRST_BLOCK : m->bytes < LARGEST_BLOCK ? m->bytes : LARGEST_BLOCK;
    size_t header = (sizeof(workspace_block) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size < bytes)
        size = bytes;
    if (bytes > JINJA_MEMORY_LIMIT || m->bytes + size > JINJA_MEMORY_LIMIT)
        return machine_fail(m, "the template needs more than %zu MiB", (size_t)(JINJA_MEMORY_LIMIT >> 20));
    workspace_block *block = mem_grow(NULL, header + size, 1);
    if (!block)
        return fail_memory();
    block->before = m->blocks;
    m->blocks = block;
    m->bytes += size;
    m->free = (char *)block + header;
    m->end = m->free + size;
    return LORAC_OK;
}

void machine_free(machine *m)
{
    while (m->blocks) {
        workspace_block *before = m->blocks->before;
        mem_free(m->blocks);
        m->blocks = before;
    }
}

void *work_new(machine *m, size_t count, size_t size)
{
    size_t bytes, pad = (size_t)(-(uintptr_t)m->free) % ALIGNMENT;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > JINJA_MEMORY_LIMIT) {
        machine_fail(m, "the template needs more than %zu MiB", (size_t)(JINJA_MEMORY_LIMIT >> 20));
        return NULL;
    }
    if (!m->free || (size_t)(m->end - m->free) < bytes + pad) {
        if (grow(m, bytes + ALIGNMENT) != LORAC_OK)
            return NULL;
        pad = (size_t)(-(uintptr_t)m->free) % ALIGNMENT;
    }
    char *p = m->free + pad;
    m->free = p + bytes;
    return p;
}

int work_grow(machine *m, void *items, size_t count, size_t *capacity, size_t size)
{
    size_t larger = *capacity ? 2 * *capacity : 4;
    void *grown = work_new(m, larger, size);
    if (!grown)
        return work_status();
    array_replace(items, grown, count * size);
    *capacity = larger;
    return LORAC_OK;
}

/* Makes room for n more bytes: in place when the text is the last thing in the workspace. */
static int builder_grow(machine *m, builder *b, size_t n)
{
    if (b->p && b->p + b->capacity == m->free && (size_t)(m->end - m->free) >= b->n + n - b->capacity) {
        size_t more = b->n + n - b->capacity;
        m->free += more;
        b->capacity += more;
        return LORAC_OK;
    }
    size_t capacity = b->n + n + (b->p ? b->n + n : 0);
    if (!m->free || (size_t)(m->end - m->free) < capacity)
        TRY(grow(m, capacity));
    if (b->p)
        memcpy(m->free, b->p, b->n);
    b->p = m->free;
    b->capacity = capacity;
    m->free += capacity;
    return LORAC_OK;
}

int builder_add(machine *m, builder *b, const char *p, size_t n)
{
    if (!n)
        return LORAC_OK;
    if (n > JINJA_TEXT_LIMIT || b->n + n > JINJA_TEXT_LIMIT)
        return machine_fail(m, "the template makes a text of more than %zu MiB", (size_t)(JINJA_TEXT_LIMIT >> 20));
    if (n > 256)
        TRY(machine_spend(m, n / 256));
    if (b->capacity - b->n < n)
        TRY(builder_grow(m, b, n));
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return LORAC_OK;
}

int builder_slice(machine *m, builder *b, slice s)
{
    return builder_add(m, b, s.p, s.n);
}

int builder_text(machine *m, builder *b, const char *text)
{
    return builder_add(m, b, text, strlen(text));
}

int builder_format(machine *m, builder *b, const char *format, ...)
{
    char room[512];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(room, sizeof room, format, list);
    va_end(list);
    return builder_add(m, b, room, (size_t)n < sizeof room ? (size_t)n : sizeof room - 1);
}

value builder_value(const builder *b)
{
    return value_of_slice((slice){ b->p, b->n });
}
