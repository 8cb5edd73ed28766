/* row_window.c: a stretch of rows at a time is read in parallel, each into a slot of its own. A row that cannot be read
 * is read once more when it is asked for: the sentence about a failure belongs to the thread that met it. */
#include "row_window.h"

#include "err.h"
#include "mem.h"
#include "pool.h"

#include <limits.h>
#include <string.h>

/* A stretch is at most so many rows, and of so many bytes unless a single row has more. */
enum { SLOTS_MOST = 512, STRETCH_BYTES = 4 << 20 };

typedef struct slot {
    row row;
    int status;
} slot;

struct row_window {
    const dataset *d;
    const row_reader *reader;
    int64_t threads;
    pool *pool; /* made when there is more than one row to read */
    row *rows;  /* for each thread */
    row again;  /* of the calling thread, for a row that failed */
    slot *slots;
    size_t first, count, next; /* slots hold rows [first, first + count); the next stretch may have `next` */
};

int row_window_open(row_window **out, const dataset *d, const row_reader *reader, int64_t threads)
{
    row_window *w = mem_new(1, sizeof *w);

    *out = NULL;
    if (w)
        w->slots = mem_new(SLOTS_MOST, sizeof *w->slots);
    if (!w || !w->slots) {
        mem_free(w);
        return fail_memory();
    }
    w->d = d;
    w->reader = reader;
    w->threads = threads;
    w->next = 1;
    *out = w;
    return LORAC_OK;
}

void row_window_close(row_window *w)
{
    if (!w)
        return;
    for (int i = 0; w->pool && w->rows && i < pool_size(w->pool); i++)
        row_free(&w->rows[i]);
    for (size_t i = 0; i < SLOTS_MOST; i++)
        row_free(&w->slots[i].row);
    row_free(&w->again);
    pool_free(w->pool);
    mem_free(w->rows);
    mem_free(w->slots);
    mem_free(w);
}

/* ---- One row --------------------------------------------------------------------------------------------- */

static int read_row(const row_window *w, size_t index, row *out)
{
    const char *file;
    long line;
    json_t *object;
    int status;

    dataset_place(w->d, index, &file, &line);
    TRY(dataset_row(w->d, index, &object));
    status = row_read(w->reader, object, file, line, out);
    json_decref(object);
    return status;
}

static int read_again(row_window *w, size_t index, const row **out)
{
    int status = read_row(w, index, &w->again);

    *out = &w->again;
    if (status == LORAC_ERROR_DATA && lorac_last_error()->line && !lorac_last_error()->column)
        error_set_column(dataset_column(w->d, index, lorac_last_error()->key));
    return status;
}

/* ---- A stretch of rows ------------------------------------------------------------------------------------- */

/* What a row holds moves to the slot, and the slot's buffers to the row. */
static void swap_numbers(row *a, row *b)
{
    row kept = *a;

    *a = *b;
    a->scratch = kept.scratch;
    kept.scratch = b->scratch;
    *b = kept;
}

static void read_slot(void *arg, int64_t piece, int thread)
{
    row_window *w = arg;
    slot *s = &w->slots[piece];
    row *own = &w->rows[thread];

    s->status = read_row(w, w->first + (size_t)piece, own);
    if (s->status == LORAC_OK)
        swap_numbers(own, &s->row);
}

static int make_team(row_window *w)
{
    if (!w->pool)
        TRY(pool_new(&w->pool, w->threads > INT_MAX ? INT_MAX : (int)w->threads));
    if (!w->rows)
        w->rows = mem_new((size_t)pool_size(w->pool), sizeof *w->rows);
    return w->rows ? LORAC_OK : fail_memory();
}

/* How many rows the stretch from `first` on has. */
static size_t stretch(const row_window *w, size_t first)
{
    size_t left = dataset_count(w->d) - first, most = left < w->next ? left : w->next, count = 0, bytes = 0;

    while (count < most && (count == 0 || bytes < STRETCH_BYTES))
        bytes += dataset_bytes(w->d, first + count++);
    return count;
}

/* The first row is read alone, since it may be all that is wanted; then stretches grow. */
static int move_to(row_window *w, size_t first)
{
    size_t count;

    w->next = first && first == w->first + w->count ? w->next * 4 : 1;
    if (w->next > SLOTS_MOST)
        w->next = SLOTS_MOST;
    count = stretch(w, first);
    w->count = 0;
    TRY(make_team(w));
    w->first = first;
    pool_run(w->pool, (int64_t)count, read_slot, w);
    w->count = count;
    return LORAC_OK;
}

int row_window_get(row_window *w, size_t index, const row **out)
{
    assert(index < dataset_count(w->d));
    if (index < w->first || index >= w->first + w->count)
        TRY(move_to(w, index));
    *out = &w->slots[index - w->first].row;
    return w->slots[index - w->first].status == LORAC_OK ? LORAC_OK : read_again(w, index, out);
}
