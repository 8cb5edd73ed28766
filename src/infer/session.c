/* session.c: batching sequences into passes and keeping their caches. */
#include "session.h"

#include "array.h"
#include "err.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

enum {
    PASS_ROWS = 512,  /* a long prompt is run in passes of this many rows */
    ROWS_LEAST = 256, /* cache rows a sequence starts with; doubled when they are used up */
};

int session_new(session **out, const model *m, context *c)
{
    session *s = mem_new(1, sizeof *s);
    if (!s)
        return fail_memory();
    s->m = m;
    s->c = c;
    s->uses = c->adapters;
    s->use_count = (size_t)c->adapter_count;
    *out = s;
    return LORAC_OK;
}

void session_free(session *s)
{
    if (!s)
        return;
    while (s->sequences)
        sequence_free(s->sequences);
    kv_cache_free(s->cache);
    mem_free(s->logits);
    mem_free(s);
}

static void drop_adapters(sequence *q)
{
    for (size_t i = 0; q->owned && i < q->use_count; i++)
        adapter_free(q->owned[i]);
    mem_free(q->owned);
    mem_free(q->uses);
    q->owned = NULL;
    q->uses = NULL;
    q->use_count = 0;
    q->settled = false;
}

int sequence_new(sequence **out, session *s, const lorac_sampling *sampling)
{
    *out = NULL;
    if (model_labels(s->m))
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = s->m->path, .hint = "lorac logits gives the scores of its labels." },
                       "a classifier generates no text");
    sequence *q = mem_new(1, sizeof *q);
    if (!q)
        return fail_memory();
    q->session = s;
    q->last = -1;
    q->next = s->sequences;
    s->sequences = q;
    int status = token_sampler_init(&q->sampler, sampling, s->m->config.vocabulary);
    if (status == LORAC_OK)
        *out = q;
    else
        sequence_free(q);
    return status;
}

void sequence_free(sequence *q)
{
    if (!q)
        return;
    sequence **link = &q->session->sequences;
    while (*link != q)
        link = &(*link)->next;
    *link = q->next;
    drop_adapters(q);
    mem_free(q->name);
    token_sampler_free(&q->sampler);
    mem_free(q->ids);
    mem_free(q);
}

int sequence_set_adapters(sequence *q, const lorac_adapter_ref *refs, size_t count)
{
    if (count > ADAPTERS_MAX)
        return fail(LORAC_ERROR_USAGE, "at most %d adapters can be applied at once", ADAPTERS_MAX);
    drop_adapters(q);
    q->run = 0;
    q->session->measured_rows = 0; /* new adapters may come to stand where the old ones did */
    q->uses = mem_new(count, sizeof *q->uses);
    q->owned = mem_new(count, sizeof *q->owned);
    if (!q->uses || !q->owned)
        return fail_memory();
    for (; q->use_count < count; q->use_count++) {
        TRY(adapter_load(&q->owned[q->use_count], q->session->m, refs[q->use_count].path, NULL, NULL));
        q->uses[q->use_count] = (adapter_use){ q->owned[q->use_count], (real)refs[q->use_count].weight, 0, 0 };
    }
    return LORAC_OK;
}

/* ---- What a set or the session gives ---- */

static int given_uses(const session *s, const adapter_set *set, const char *name, adapter_use *uses, size_t *count)
{
    if (set)
        return adapter_set_uses(set, name, uses, count);
    *count = s->use_count;
    if (s->use_count)
        memcpy(uses, s->uses, s->use_count * sizeof *uses);
    return LORAC_OK;
}

/* A set may have changed since the last pass; what the cache holds is then of adapters that are no longer in force. */
static int settle(sequence *q)
{
    const adapter_set *set = q->set ? q->set : q->session->set;
    adapter_use uses[ADAPTERS_MAX];
    size_t count;
    if (q->owned || (q->settled && (!set || q->version == set->version)))
        return LORAC_OK;
    TRY(given_uses(q->session, set, q->name, uses, &count));
    adapter_use *copy = mem_new(count, sizeof *copy);
    if (!copy)
        return fail_memory();
    if (count)
        memcpy(copy, uses, count * sizeof *copy);
    mem_free(q->uses);
    q->uses = copy;
    q->use_count = count;
    q->run = 0;
    q->settled = true;
    q->version = set ? set->version : 0;
    q->session->measured_rows = 0;
    return LORAC_OK;
}

void session_use(session *s, const adapter_set *set)
{
    s->set = set;
    s->measured_rows = 0;
    for (sequence *q = s->sequences; q; q = q->next)
        q->settled = q->settled && q->set;
}

int sequence_use(sequence *q, const adapter_set *set, const char *name)
{
    adapter_use uses[ADAPTERS_MAX];
    size_t count;
    if (set)
        TRY(adapter_set_uses(set, name, uses, &count));
    char *copy = set && name ? mem_text(name) : NULL;
    if (set && name && !copy)
        return fail_memory();
    drop_adapters(q);
    mem_free(q->name);
    q->name = copy;
    q->set = set;
    q->settled = false;
    return LORAC_OK;
}

static int add_ids(sequence *q, const int32_t *ids, size_t count)
{
    TRY(array_room(q->ids, q->capacity, q->count + count));
    memcpy(q->ids + q->count, ids, count * sizeof *ids);
    q->count += count;
    return LORAC_OK;
}

int sequence_append(sequence *q, const int32_t *ids, size_t count)
{
    TRY(model_check_ids(q->session->m, ids, count));
    if ((int64_t)(q->count + count) > q->session->m->config.context) {
        char found[32], expected[48];
        snprintf(found, sizeof found, "%zu tokens", q->count + count);
        snprintf(expected, sizeof expected, "at most %lld", (long long)q->session->m->config.context);
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "prompt", .found = found, .expected = expected },
                       "the text is longer than the model's context");
    }
    return count ? add_ids(q, ids, count) : LORAC_OK;
}

/* ---- The cache: rows are laid out anew, with room to double, when a sequence outgrows its own ---- */

static int64_t rows_wanted(const sequence *q)
{
    int64_t rows = q->rows > ROWS_LEAST ? q->rows : ROWS_LEAST;
    while (rows < (int64_t)q->count)
        rows *= 2;
    return rows < q->session->m->config.context ? rows : q->session->m->config.context;
}

static void copy_rows(kv_cache *to, int64_t to_row, const kv_cache *from, int64_t from_row, int64_t count)
{
    size_t row = from->layer_bytes / (size_t)from->rows;
    for (int64_t layer = 0; layer < from->layers; layer++) {
        memcpy((char *)to->k[layer] + (size_t)to_row * row, (char *)from->k[layer] + (size_t)from_row * row,
               (size_t)count * row);
        memcpy((char *)to->v[layer] + (size_t)to_row * row, (char *)from->v[layer] + (size_t)from_row * row,
               (size_t)count * row);
    }
}

static int make_room(session *s)
{
    int64_t total = 0;
    bool enough = s->cache != NULL;
    for (sequence *q = s->sequences; q; q = q->next) {
        total += rows_wanted(q);
        enough = enough && ((int64_t)q->count <= q->rows || q->rows == s->m->config.context);
    }
    if (enough)
        return LORAC_OK;
    kv_cache *grown;
    TRY(kv_cache_new(&grown, s->m, total, s->c->act));
    int64_t row = 0;
    for (sequence *q = s->sequences; q; q = q->next) {
        int64_t rows = rows_wanted(q);
        if (s->cache && q->run)
            copy_rows(grown, row, s->cache, q->first_row, (int64_t)q->run);
        q->first_row = row;
        q->rows = rows;
        row += rows;
    }
    kv_cache_free(s->cache);
    s->cache = grown;
    return LORAC_OK;
}

/* ---- A pass ---- */

typedef struct pass_rows {
    int32_t ids[PASS_ROWS], positions[PASS_ROWS], cache_row[PASS_ROWS];
    attention_span spans[PASS_ROWS];
    int32_t last_row[PASS_ROWS];   /* the rows whose logits are wanted */
    sequence *finished[PASS_ROWS]; /* the sequences they belong to */
    int64_t rows, n_spans, n_finished;
    adapter_use uses[ADAPTERS_MAX];
    size_t use_count;
} pass_rows;

/* Does an adapter of the sequence stand in for the model's own weights? Then all rows of its pass must have it. */
static bool replaces(const sequence *q)
{
    for (size_t i = 0; i < q->use_count; i++)
        if (q->uses[i].adapter->replaces)
            return true;
    return false;
}

static bool same_uses(const sequence *a, const sequence *b)
{
    bool same = a->use_count == b->use_count;
    for (size_t i = 0; same && i < a->use_count; i++)
        same = a->uses[i].adapter == b->uses[i].adapter && a->uses[i].weight == b->uses[i].weight;
    return same;
}

/* May `q` run in the pass that `first` is in? */
static bool goes_with(const sequence *q, const sequence *first, const pass_rows *p)
{
    if (replaces(first) || replaces(q))
        return same_uses(q, first);
    return p->use_count + q->use_count <= ADAPTERS_MAX;
}

static void add_uses(pass_rows *p, const sequence *q, int64_t count)
{
    if (replaces(q)) {
        for (p->use_count = 0; p->use_count < q->use_count; p->use_count++) {
            p->uses[p->use_count] = q->uses[p->use_count];
            p->uses[p->use_count].first = 0;
            p->uses[p->use_count].count = -1;
        }
        return;
    }
    for (size_t i = 0; i < q->use_count; i++) {
        adapter_use *use = &p->uses[p->use_count++];
        *use = q->uses[i];
        use->first = p->rows;
        use->count = count;
    }
}

static void add_sequence(pass_rows *p, sequence *q)
{
    int64_t pending = (int64_t)(q->count - q->run), room = PASS_ROWS - p->rows;
    int64_t count = pending < room ? pending : room;
    p->spans[p->n_spans++] = (attention_span){ p->rows, count, q->first_row, (int64_t)q->run + count };
    add_uses(p, q, count);
    for (int64_t i = 0; i < count; i++, p->rows++, q->run++) {
        p->ids[p->rows] = q->ids[q->run];
        p->positions[p->rows] = (int32_t)q->run;
        p->cache_row[p->rows] = (int32_t)(q->first_row + (int64_t)q->run);
    }
    if (count == pending) {
        p->last_row[p->n_finished] = (int32_t)(p->rows - 1);
        p->finished[p->n_finished++] = q;
    }
}

/* What a pass needs depends on the ranks and places of its adapters too. */
static bool same_adapters(const session *s)
{
    bool same = s->measured_uses == (size_t)s->c->adapter_count;
    for (size_t i = 0; same && i < s->measured_uses; i++)
        same = s->measured[i] == s->c->adapters[i].adapter;
    return same;
}

static void note_adapters(session *s)
{
    s->measured_uses = (size_t)s->c->adapter_count;
    for (size_t i = 0; i < s->measured_uses; i++)
        s->measured[i] = s->c->adapters[i].adapter;
}

/* Step memory grows to the largest pass seen. */
static int reserve(session *s, const batch *b, int64_t n_logits)
{
    bool enough = (size_t)b->count <= s->measured_rows && (size_t)n_logits <= s->measured_logits && same_adapters(s);
    if (enough && s->c->size)
        return LORAC_OK;
    size_t bytes;
    TRY(model_measure_logits(s->m, s->c, b, n_logits, &bytes));
    if (bytes > s->c->size)
        TRY(context_reserve(s->c, bytes));
    s->measured_rows = (size_t)b->count;
    s->measured_logits = (size_t)n_logits;
    note_adapters(s);
    return LORAC_OK;
}

static int grow_logits(session *s, size_t rows)
{
    if (rows <= s->logit_rows)
        return LORAC_OK;
    float *grown = mem_grow(s->logits, rows * (size_t)s->m->config.vocabulary, sizeof *grown);
    if (!grown)
        return fail_memory();
    s->logits = grown;
    s->logit_rows = rows;
    return LORAC_OK;
}

static bool is_end(const sequence *q, int32_t id)
{
    if (q->sampler.options.ignore_eos)
        return false;
    for (size_t i = 0; i < q->end_count; i++)
        if (q->ends[i] == id)
            return true;
    return false;
}

/* The sampled token joins the sequence and is run by the next step; an end token does too, as a chat goes on after it.
 */
static int sample(sequence *q, float *logits)
{
    int32_t id = token_sampler_next(&q->sampler, logits, q->ids, q->count);
    q->last = is_end(q, id) ? -1 : id;
    q->waiting = false;
    return add_ids(q, &id, 1);
}

static int run_pass(session *s, pass_rows *p)
{
    p->rows = p->n_spans = p->n_finished = 0;
    p->use_count = 0;
    const sequence *first = NULL;
    for (sequence *q = s->sequences; q && p->rows < PASS_ROWS; q = q->next) {
        if (!q->waiting || (first && !goes_with(q, first, p)))
            continue;
        first = first ? first : q;
        add_sequence(p, q);
    }
    batch b = { .count = p->rows,
                .ids = p->ids,
                .positions = p->positions,
                .spans = p->spans,
                .n_spans = p->n_spans,
                .cache = s->cache,
                .cache_row = p->cache_row };
    s->c->adapters = p->uses;
    s->c->adapter_count = (int)p->use_count;
    TRY(grow_logits(s, (size_t)p->n_finished));
    TRY(reserve(s, &b, p->n_finished));
    TRY(model_logits(s->m, s->c, &b, p->last_row, p->n_finished, s->logits));
    for (int64_t i = 0; i < p->n_finished; i++)
        TRY(sample(p->finished[i], s->logits + i * s->m->config.vocabulary));
    return LORAC_OK;
}

int session_step(session *s)
{
    pass_rows p;
    for (sequence *q = s->sequences; q; q = q->next)
        TRY(settle(q));
    TRY(make_room(s));
    bool any = false;
    for (sequence *q = s->sequences; q; q = q->next) {
        const bool is_full = (int64_t)q->count > s->m->config.context; /* its last token has no place to go */
        q->last = is_full ? -1 : q->last;
        any |= q->waiting = q->run < q->count && !is_full;
    }
    while (any) {
        TRY(run_pass(s, &p));
        any = false;
        for (sequence *q = s->sequences; q; q = q->next)
            any |= q->waiting;
    }
    return LORAC_OK;
}

int session_logits(session *s, const int32_t *ids, size_t count, float *out)
{
    adapter_use uses[ADAPTERS_MAX];
    size_t use_count;
    TRY(model_check_ids(s->m, ids, count));
    if (model_labels(s->m) && !count)
        return fail(LORAC_ERROR_USAGE, "there is no token to classify");
    TRY(given_uses(s, s->set, NULL, uses, &use_count));
    TRY(adapters_bring_head(uses, use_count, s->m));
    int32_t *positions = mem_new(count, sizeof *positions);
    if (!positions)
        return fail_memory();
    for (size_t i = 0; i < count; i++)
        positions[i] = (int32_t)i;
    attention_span whole = { 0, (int64_t)count, 0, (int64_t)count };
    batch b = { .count = (int64_t)count, .ids = ids, .positions = positions, .spans = &whole, .n_spans = 1 };
    const int32_t classified = (int32_t)class_position(ids, count, s->m->config.pad);
    const int64_t n_rows = model_labels(s->m) ? 1 : b.count;
    const int32_t *rows = n_rows < b.count ? &classified : NULL;
    s->c->adapters = uses;
    s->c->adapter_count = (int)use_count;
    if (s->set && s->version != s->set->version)
        s->measured_rows = 0;
    s->version = s->set ? s->set->version : 0;
    int status = reserve(s, &b, n_rows);
    if (status == LORAC_OK)
        status = model_logits(s->m, s->c, &b, rows, n_rows, out);
    mem_free(positions);
    return status;
}
