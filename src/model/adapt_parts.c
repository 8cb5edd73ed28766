/* adapt_parts.c: the table, and building an adapter by it. */
#include "adapt_parts.h"

#include "arch.h"
#include "err.h"
#include "mem.h"
#include "quant.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { CHOSEN_BYTES_MOST = 512 << 20 };

/* Suffixes below the module's name, for linears, embeddings and norms; where a module has a LoRA, PEFT moves what is
 * its own below base_layer. NULL: there is no such part. */
static const struct {
    const char *linear, *embedding, *norm, *adapted;
    size_t place;
} table[PARTS] = {
    [PART_A] = { PEFT_A, ".lora_embedding_A", NULL, NULL, offsetof(adapted, a) },
    [PART_B] = { PEFT_B, ".lora_embedding_B", NULL, NULL, offsetof(adapted, b) },
    [PART_B_BIAS] = { ".lora_B.bias", NULL, NULL, NULL, offsetof(adapted, b_bias) },
    [PART_MAGNITUDE] = { ".lora_magnitude_vector", ".lora_magnitude_vector", NULL, NULL, offsetof(adapted, magnitude) },
    [PART_WEIGHT] = { ".weight", ".weight", ".weight", ".base_layer.weight", offsetof(adapted, weight) },
    [PART_BIAS] = { ".bias", NULL, ".bias", ".base_layer.bias", offsetof(adapted, bias) },
    [PART_ROWS] = { ".token_adapter.trainable_tokens_delta", ".token_adapter.trainable_tokens_delta", NULL, NULL,
                    offsetof(adapted, rows) },
};

const char *part_suffix(part_kind kind, const nn_module *x, bool is_adapted)
{
    if (is_adapted && table[kind].adapted)
        return table[kind].adapted;
    return x->kind == MODULE_EMBEDDING ? table[kind].embedding
           : x->kind == MODULE_NORM    ? table[kind].norm
                                       : table[kind].linear;
}

var **part_place(part_kind kind, adapted *to)
{
    return (var **)((char *)to + table[kind].place);
}

bool part_parse(slice name, const model *m, const nn_module **x, part_kind *kind)
{
    if (!slice_starts(name, PEFT_PREFIX))
        return false;
    name.p += strlen(PEFT_PREFIX);
    name.n -= strlen(PEFT_PREFIX);
    for (int slot = 0; slot < m->module_count; slot++) {
        const nn_module *at = m->modules[slot];
        const size_t length = strlen(at->name);
        if (name.n <= length || name.p[length] != '.' || memcmp(name.p, at->name, length) != 0)
            continue;
        const slice rest = { name.p + length, name.n - length };
        for (int k = 0; k < PARTS; k++)
            for (int is_adapted = 0; is_adapted <= 1; is_adapted++) {
                const char *suffix = part_suffix(k, at, is_adapted);
                if (suffix && slice_is(rest, suffix)) {
                    *x = at;
                    *kind = k;
                    return true;
                }
            }
    }
    return false;
}

/* How Hugging Face files a weight. */
static bool files_turned(const nn_module *x)
{
    return x->kind == MODULE_CONV1D || x->kind == MODULE_EMBEDDING;
}

tensor part_shape(part_kind kind, const nn_module *x, const wish *w)
{
    const int64_t out = x->kind == MODULE_NORM ? tensor_count(&x->weight.t) : outputs_of(&x->weight);
    const int64_t in = x->kind == MODULE_NORM ? 0 : inputs_of(&x->weight);
    tensor t = { .type = DT_REAL, .ndim = 1, .dim = { out } };
    if (kind == PART_A || kind == PART_B || kind == PART_ROWS || (kind == PART_WEIGHT && x->kind != MODULE_NORM))
        t.ndim = 2;
    if (kind == PART_A) {
        t.dim[0] = w->rank;
        t.dim[1] = in;
    } else if (kind == PART_B) {
        t.dim[1] = w->rank;
    } else if (kind == PART_WEIGHT && t.ndim == 2) {
        t.dim[0] = files_turned(x) ? in : out;
        t.dim[1] = files_turned(x) ? out : in;
    } else if (kind == PART_ROWS) {
        t.dim[0] = w->tokens ? (int64_t)w->tokens->count : 0;
        t.dim[1] = x->kind == MODULE_EMBEDDING ? out : in;
    }
    return t;
}

/* ---- What a configuration wants ---- */

static int refuse(const nn_module *x, const char *key, const char *what)
{
    return fail_at(LORAC_ERROR_USAGE, (fault){ .key = key, .found = x->name }, "%s", what);
}

static int wish_lora(maker *b, const nn_module *x, wish *w)
{
    const peft_config *c = b->config;
    const bool linear_kind = x->kind == MODULE_LINEAR || x->kind == MODULE_CONV1D;
    bool matches;
    TRY(peft_matches(b->matcher, x->name, x == &b->m->head || !linear_kind, &matches, &w->rank, &w->alpha));
    if (!matches || (peft_is_all_linear(c) && !linear_kind))
        return LORAC_OK;
    if (x->kind == MODULE_NORM)
        return refuse(x, "target_modules", "only linear layers and embeddings can have a LoRA");
    if (c->lora_bias && x->kind == MODULE_EMBEDDING)
        return refuse(x, "lora_bias", "an embedding cannot have lora_bias");
    if (c->use_dora && peft_init_changes_weight(&c->init))
        return refuse(x, "use_dora", "DoRA does not go with first values that change the weight");
    w->has[PART_A] = w->has[PART_B] = true;
    w->has[PART_B_BIAS] = c->lora_bias;
    w->has[PART_MAGNITUDE] = c->use_dora;
    return LORAC_OK;
}

/* A tied head whose tokens are the embedding's has their rows from there. */
static bool follows_embedding(const maker *b, const nn_module *x, const peft_tokens *own)
{
    const peft_tokens *in = peft_tokens_of(b->config, b->m->embedding.name, true);
    return x == &b->m->head && b->m->config.tied_head && in && peft_same_tokens(in, own);
}

static int wish_rows(const maker *b, const nn_module *x, wish *w)
{
    w->tokens = peft_tokens_of(b->config, x->name, x == &b->m->embedding);
    if (!w->tokens || follows_embedding(b, x, w->tokens))
        return LORAC_OK;
    if (x != &b->m->embedding && (x != &b->m->head || model_labels(b->m)))
        return refuse(x, "trainable_token_indices", "only the input embedding and the head have rows of tokens");
    if (w->has[PART_WEIGHT] || w->has[PART_A])
        return refuse(x, "trainable_token_indices", "the module is trained in another way already");
    for (size_t i = 0; i < w->tokens->count; i++)
        if (w->tokens->ids[i] >= b->m->config.vocabulary) {
            char found[32];
            snprintf(found, sizeof found, "%d", w->tokens->ids[i]);
            return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "trainable_token_indices", .found = found },
                           "a token is not in the model's vocabulary");
        }
    w->has[PART_ROWS] = w->tokens->count > 0;
    return LORAC_OK;
}

/* Of tied ends the embedding is what is trained. */
static int wish_tied(maker *b, const nn_module *x, wish *w)
{
    const peft_config *c = b->config;
    if (x == &b->m->head)
        return LORAC_OK;
    if (c->use_dora && !peft_names_an_end(c->saved, c->saved_count))
        return refuse(x, "ensure_weight_tying", "DoRA of an embedding cannot be the head's too");
    w->has[PART_WEIGHT] = peft_names_an_end(c->saved, c->saved_count);
    w->has[PART_A] = w->has[PART_B] = !w->has[PART_WEIGHT];
    return LORAC_OK;
}

int maker_wish(maker *b, const nn_module *x, wish *w)
{
    const peft_config *c = b->config;
    const bool has_bias = x->bias.t.data != NULL;
    *w = (wish){ .rank = c->r, .alpha = c->lora_alpha };
    if (b->ties && (x == &b->m->embedding || x == &b->m->head))
        return wish_tied(b, x, w);
    if (peft_saves(c, x->name)) {
        w->has[PART_WEIGHT] = true;
        w->has[PART_BIAS] = has_bias;
    } else {
        TRY(wish_lora(b, x, w));
        w->has[PART_BIAS] =
            has_bias && (strcmp(c->bias, "all") == 0 || (strcmp(c->bias, "lora_only") == 0 && w->has[PART_A]));
    }
    return wish_rows(b, x, w);
}

/* ---- Building ---- */

int maker_open(maker *b, const model *m, const peft_config *config)
{
    *b = (maker){ .m = m, .config = config, .a = mem_new(1, sizeof *b->a) };
    if (!b->a)
        return fail_memory();
    adapter *a = b->a;
    const size_t modules = (size_t)m->module_count;
    a->module_count = m->module_count;
    a->modules = arena_new(&a->memory, modules, sizeof *a->modules);
    a->trainables = arena_new(&a->memory, modules * PARTS, sizeof *a->trainables);
    a->kept = arena_new(&a->memory, modules * PARTS, sizeof *a->kept);
    if (!a->modules || !a->trainables || !a->kept)
        return fail_memory();
    b->ties = m->config.tied_head && peft_ties_ends(config);
    return peft_matcher_new(&b->matcher, config);
}

int maker_close(maker *b, int status, adapter **out)
{
    peft_matcher_free(b->matcher);
    if (status != LORAC_OK) {
        adapter_free(b->a);
        b->a = NULL;
    }
    *out = b->a;
    return status;
}

void adapter_free(adapter *a)
{
    if (!a)
        return;
    arena_free(&a->memory);
    mem_free(a);
}

static var_role role_of(part_kind kind, const nn_module *x)
{
    if (kind != PART_A && kind != PART_B)
        return ROLE_OTHER;
    return x->kind == MODULE_EMBEDDING ? ROLE_EMBEDDING : kind == PART_A ? ROLE_A : ROLE_B;
}

static int add_part(maker *b, const nn_module *x, part_kind kind, const wish *w)
{
    adapter *a = b->a;
    var *v = arena_new(&a->memory, 1, sizeof *v);
    named_var *entry = w->frozen[kind] ? &a->kept[a->kept_count++] : &a->trainables[a->trainable_count++];
    if (!v)
        return fail_memory();
    v->t = part_shape(kind, x, w);
    v->turned = (kind == PART_WEIGHT && files_turned(x)) || (kind == PART_ROWS && x->kind == MODULE_EMBEDDING);
    entry->name = arena_format(&a->memory, PEFT_PREFIX "%s%s", x->name, part_suffix(kind, x, w->has[PART_A]));
    entry->value = v;
    entry->role = role_of(kind, x);
    entry->of = &a->modules[x->slot];
    entry->count = tensor_count(&v->t);
    v->t.data = arena_new(&a->memory, (size_t)entry->count, sizeof(real));
    *part_place(kind, &a->modules[x->slot]) = v;
    if (!w->frozen[kind]) {
        const bool is_copy = peft_saves(b->config, x->name);
        a->parameters += entry->count;
        a->added += kind != PART_BIAS || is_copy ? entry->count : 0; /* a trained bias is the model's, a saved module a
                                                                        copy */
    }
    a->replaces |= kind == PART_WEIGHT || kind == PART_BIAS || kind == PART_ROWS;
    return v->t.data && entry->name ? LORAC_OK : fail_memory();
}

static int new_matrix(maker *b, var **out, const tensor *shape)
{
    *out = arena_new(&b->a->memory, 1, sizeof **out);
    if (!*out)
        return fail_memory();
    (*out)->t = *shape;
    (*out)->t.data = arena_new(&b->a->memory, (size_t)tensor_count(shape), sizeof(real));
    return (*out)->t.data ? LORAC_OK : fail_memory();
}

static int add_taken(maker *b, const nn_module *x, const wish *w)
{
    adapted *to = &b->a->modules[x->slot];
    const tensor a_shape = part_shape(PART_A, x, w), b_shape = part_shape(PART_B, x, w);
    b->a->takes = true;
    TRY(new_matrix(b, &to->a_taken, &a_shape));
    return new_matrix(b, &to->b_taken, &b_shape);
}

int maker_add(maker *b, const nn_module *x, const wish *w)
{
    adapted *to = &b->a->modules[x->slot];
    for (int kind = 0; kind < PARTS; kind++)
        if (w->has[kind])
            TRY(add_part(b, x, kind, w));
    if (!w->has[PART_A])
        return LORAC_OK;
    to->rank = w->rank;
    to->scale = (real)peft_scale(b->config, w->rank, w->alpha);
    to->dropout = (real)b->config->lora_dropout;
    if (peft_init_changes_weight(&b->config->init) && x->kind != MODULE_EMBEDDING)
        TRY(add_taken(b, x, w));
    if (!w->has[PART_MAGNITUDE])
        return LORAC_OK;
    b->a->has_norms = true;
    to->norms = arena_new(&b->a->memory, (size_t)outputs_of(&x->weight) * 3, sizeof *to->norms);
    return to->norms ? LORAC_OK : fail_memory();
}

/* ---- The model's own numbers ---- */

/* Row after row; into columns where the two lie differently. */
static void copy_matrix(real *out, const var *from, bool turned, float *row)
{
    const int64_t rows = tensor_rows(&from->t), cols = tensor_cols(&from->t);
    for (int64_t r = 0; r < rows; r++) {
        quant_decode_row(row, &from->t, r);
        for (int64_t i = 0; i < cols; i++)
            out[from->turned == turned ? r * cols + i : i * rows + r] = (real)row[i];
    }
}

int part_copy_own(part_kind kind, const nn_module *x, const peft_tokens *tokens, real *out)
{
    const var *from = kind == PART_BIAS ? &x->bias : &x->weight;
    const int64_t cols = tensor_cols(&from->t);
    float *row = mem_new((size_t)cols, sizeof *row);
    if (!row)
        return fail_memory();
    if (kind == PART_ROWS)
        for (size_t i = 0; i < tokens->count; i++) {
            quant_decode_row(row, &from->t, tokens->ids[i]);
            for (int64_t c = 0; c < cols; c++)
                out[(int64_t)i * cols + c] = (real)row[c];
        }
    else
        copy_matrix(out, from, kind == PART_WEIGHT && files_turned(x), row);
    mem_free(row);
    return LORAC_OK;
}

/* ---- What belongs together ---- */

/* Where every token's row is. */
static int map_rows(maker *b, adapted *to, const peft_tokens *tokens)
{
    const int64_t vocabulary = b->m->config.vocabulary;
    int32_t *row_of = arena_new(&b->a->memory, (size_t)vocabulary, sizeof *row_of);
    if (!row_of)
        return fail_memory();
    for (int64_t id = 0; id < vocabulary; id++)
        row_of[id] = -1;
    for (size_t i = 0; i < tokens->count; i++) {
        if (row_of[tokens->ids[i]] >= 0)
            return refuse(&b->m->embedding, "trainable_token_indices", "a token is listed twice");
        row_of[tokens->ids[i]] = (int32_t)i;
    }
    to->row_of = row_of;
    return LORAC_OK;
}

/* The head's outputs for some tokens are products with `rows` instead of its own. */
static int choose_outputs(maker *b, adapted *to, var *rows, const peft_tokens *tokens)
{
    const nn_module *head = &b->m->head;
    const int64_t vocabulary = b->m->config.vocabulary, n = (int64_t)tokens->count, width = inputs_of(&head->weight);
    if (n > CHOSEN_BYTES_MOST / (vocabulary * (int64_t)sizeof(real)))
        return refuse(head, "trainable_token_indices", "too many tokens for a head");
    TRY(map_rows(b, to, tokens));
    to->rows = rows;
    to->chosen = arena_new(&b->a->memory, 1, sizeof *to->chosen);
    to->old_rows = arena_new(&b->a->memory, 1, sizeof *to->old_rows);
    if (!to->chosen || !to->old_rows)
        return fail_memory();
    to->chosen->t = (tensor){ .type = DT_REAL, .ndim = 2, .dim = { vocabulary, n } };
    to->old_rows->t = (tensor){ .type = DT_REAL, .ndim = 2, .dim = { n, width } };
    to->chosen->t.data = arena_new(&b->a->memory, (size_t)(vocabulary * n), sizeof(real));
    to->old_rows->t.data = arena_new(&b->a->memory, (size_t)(n * width), sizeof(real));
    if (!to->chosen->t.data || !to->old_rows->t.data)
        return fail_memory();
    for (int64_t i = 0; i < n; i++)
        ((real *)to->chosen->t.data)[tokens->ids[i] * n + i] = 1;
    return part_copy_own(PART_ROWS, head, tokens, to->old_rows->t.data);
}

static int finish_rows(maker *b)
{
    const model *m = b->m;
    adapted *in = &b->a->modules[m->embedding.slot], *out = &b->a->modules[m->head.slot];
    const peft_tokens *tokens = peft_tokens_of(b->config, m->embedding.name, true);
    const peft_tokens *own = peft_tokens_of(b->config, m->head.name, false);
    if (in->rows)
        TRY(map_rows(b, in, tokens));
    if (out->rows)
        return choose_outputs(b, out, out->rows, own);
    if (in->rows && m->config.tied_head && !out->weight && !out->a)
        return choose_outputs(b, out, in->rows, tokens);
    return LORAC_OK;
}

/* The file has the head's tensors as well. */
static int add_alias(maker *b, part_kind kind, const var *of, bool transposed)
{
    adapter *a = b->a;
    named_var *entry = &a->kept[a->kept_count++];
    var *is = arena_new(&a->memory, 1, sizeof *is);
    if (!is)
        return fail_memory();
    *is = *of;
    if (transposed) {
        is->t.dim[0] = of->t.dim[1];
        is->t.dim[1] = of->t.dim[0];
        is->t.data = arena_new(&a->memory, (size_t)tensor_count(&of->t), sizeof(real));
    }
    is->turned = false;
    entry->name =
        arena_format(&a->memory, PEFT_PREFIX "%s%s", b->m->head.name, part_suffix(kind, &b->m->head, transposed));
    entry->value = is;
    entry->count = tensor_count(&is->t);
    a->aliases[a->alias_count++] = (struct alias){ is, of, transposed };
    return is->t.data && entry->name ? LORAC_OK : fail_memory();
}

static int finish_tying(maker *b)
{
    const model *m = b->m;
    adapted *in = &b->a->modules[m->embedding.slot], *out = &b->a->modules[m->head.slot];
    if (!b->ties)
        return LORAC_OK;
    if (in->weight) {
        TRY(add_alias(b, PART_WEIGHT, in->weight, false));
        out->weight = b->a->aliases[0].is;
    }
    if (!in->a)
        return LORAC_OK;
    out->a = in->b;
    out->b = in->a;
    out->turned = true;
    out->rank = in->rank;
    out->scale = in->scale;
    out->dropout = in->dropout;
    b->a->parameters += tensor_count(&in->a->t) + tensor_count(&in->b->t); /* PEFT counts them twice */
    b->a->added += tensor_count(&in->a->t) + tensor_count(&in->b->t);
    TRY(add_alias(b, PART_A, in->b, true));
    return add_alias(b, PART_B, in->a, true);
}

/* Every list of tokens must be for a module, and those of tied modules the same if they are to stay tied. */
int maker_check(const maker *b)
{
    const model *m = b->m;
    const peft_config *c = b->config;
    const peft_tokens *in = peft_tokens_of(c, m->embedding.name, true);
    const peft_tokens *out = peft_tokens_of(c, m->head.name, false);
    for (size_t i = 0; i < c->token_lists; i++)
        if (&c->tokens[i] != in && &c->tokens[i] != out)
            return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "trainable_token_indices", .found = c->tokens[i].module },
                           "no embedding or head of the model has that name");
    if (in && out && m->config.tied_head && c->ensure_weight_tying && !peft_same_tokens(in, out))
        return refuse(&m->head, "ensure_weight_tying", "the tokens of the embedding and of the tied head differ");
    return LORAC_OK;
}

int maker_finish(maker *b)
{
    TRY(maker_check(b));
    TRY(finish_rows(b));
    return finish_tying(b);
}
