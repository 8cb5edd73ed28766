/* peft_match.c: which modules a configuration names, and with what rank and alpha: PEFT's check_target_module_exists
 * and get_pattern_key, rule for rule. Lists are looked up by every dotted suffix of the module's name, so a list of
 * thousands costs no more than a short one. Does not know which modules a model has. */
#include "peft.h"

#include "err.h"
#include "map.h"
#include "mem.h"
#include "regex.h"

#include <string.h>

/* A dictionary of patterns; `used` tells which ever fitted an adapted module. */
typedef struct pattern_list {
    regex **compiled;
    bool *used;
    size_t count;
} pattern_list;

struct peft_matcher {
    const peft_config *config;
    bool all_linear, regex_used;
    map targets, excludes; /* name -> index */
    bool *target_used;
    regex *target, *exclude;
    regex **layers;
    size_t layer_count;
    pattern_list ranks, alphas;
};

/* ---- Making */

static int add_names(map *names, const char *const *list, size_t count, bool *used)
{
    for (size_t i = 0; i < count; i++) {
        bool found;

        TRY(map_add(names, slice_of(list[i]), (int64_t)i, &found));
        if (used && found)
            used[i] = true; /* the same name again is answered for by the first */
    }
    return LORAC_OK;
}

static int compile_patterns(pattern_list *out, const char *const *keys, size_t count, const char *name)
{
    out->compiled = mem_new(count, sizeof *out->compiled);
    out->used = mem_new(count, sizeof *out->used);
    if (!out->compiled || !out->used)
        return fail_memory();
    for (; out->count < count; out->count++)
        TRY(regex_new(&out->compiled[out->count], "(.*\\.)?(", keys[out->count], ")$", REGEX_MATCH, name));
    return LORAC_OK;
}

bool peft_is_all_linear(const peft_config *c)
{
    return c->target_regex && strcasecmp(c->target_regex, "all-linear") == 0;
}

static int compile_targets(peft_matcher *m)
{
    const peft_config *c = m->config;

    if (c->target_count == 0 && !c->target_regex)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "target_modules" }, "no target modules are set");
    m->all_linear = peft_is_all_linear(c);
    if (c->target_regex && !m->all_linear)
        TRY(regex_new(&m->target, "", c->target_regex, "", REGEX_FULLMATCH, "target_modules"));
    m->target_used = mem_new(c->target_count, sizeof *m->target_used);
    if (!m->target_used)
        return fail_memory();
    TRY(add_names(&m->targets, c->targets, c->target_count, m->target_used));
    if (c->exclude_regex && *c->exclude_regex)
        TRY(regex_new(&m->exclude, "", c->exclude_regex, "", REGEX_FULLMATCH, "exclude_modules"));
    return add_names(&m->excludes, c->excludes, c->exclude_count, NULL);
}

/* The first number of a module's path that stands behind the name of the list of layers. Lazy, so that in
 * "layers.1.experts.0" it is the layer's. */
static int compile_layers(peft_matcher *m)
{
    const peft_config *c = m->config;
    size_t count = c->layers_pattern_count > 0 ? c->layers_pattern_count : 1;

    if (c->layer_count == 0)
        return LORAC_OK;
    m->layers = mem_new(count, sizeof *m->layers);
    if (!m->layers)
        return fail_memory();
    if (c->layers_pattern_count == 0) {
        m->layer_count = 1;
        return regex_new(&m->layers[0], ".*?\\.[^.]*\\.(?P<idx>\\d+)\\.", "", "", REGEX_MATCH, "layers_pattern");
    }
    for (; m->layer_count < count; m->layer_count++)
        TRY(regex_new(&m->layers[m->layer_count], "(?:^|.*?\\.)", c->layers_pattern[m->layer_count],
                      "\\.(?P<idx>\\d+)\\.", REGEX_MATCH, "layers_pattern"));
    return LORAC_OK;
}

static int compile_all(peft_matcher *m)
{
    const peft_config *c = m->config;

    TRY(compile_targets(m));
    TRY(compile_layers(m));
    TRY(compile_patterns(&m->ranks, c->rank_keys, c->rank_count, "rank_pattern"));
    return compile_patterns(&m->alphas, c->alpha_keys, c->alpha_count, "alpha_pattern");
}

int peft_matcher_new(peft_matcher **out, const peft_config *c)
{
    peft_matcher *m = mem_new(1, sizeof *m);
    int status;

    *out = NULL;
    if (!m)
        return fail_memory();
    m->config = c;
    status = compile_all(m);
    if (status != LORAC_OK) {
        peft_matcher_free(m);
        return status;
    }
    *out = m;
    return LORAC_OK;
}

static void free_patterns(pattern_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        regex_free(list->compiled[i]);
    mem_free(list->compiled);
    mem_free(list->used);
}

void peft_matcher_free(peft_matcher *m)
{
    if (!m)
        return;
    map_free(&m->targets);
    map_free(&m->excludes);
    mem_free(m->target_used);
    regex_free(m->target);
    regex_free(m->exclude);
    for (size_t i = 0; i < m->layer_count; i++)
        regex_free(m->layers[i]);
    mem_free(m->layers);
    free_patterns(&m->ranks);
    free_patterns(&m->alphas);
    mem_free(m);
}

/* ---- Matching */

/* Is the module, or what follows one of its dots, in the list? Marks all that are in `used` (may be NULL). */
static bool is_listed(const map *names, const char *module, bool *used)
{
    bool listed = false;
    const char *dot;

    for (const char *at = module; at; at = dot ? dot + 1 : NULL) {
        int64_t i = map_find(names, slice_of(at));

        listed |= i >= 0;
        if (i >= 0 && used)
            used[i] = true;
        dot = strchr(at, '.');
    }
    return listed;
}

static int is_excluded(peft_matcher *m, const char *module, bool *excluded)
{
    *excluded = is_listed(&m->excludes, module, NULL);
    return m->exclude ? regex_try(m->exclude, module, excluded, NULL) : LORAC_OK;
}

/* "007" is 7. No digits, because the pattern fitted without its number, or too many are no layer's. */
static int64_t parse_index(slice digits)
{
    int64_t index = digits.n > 0 ? 0 : -1;

    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9' || index > INT64_MAX / 10 - 1)
            return -1;
        index = index * 10 + (digits.p[i] - '0');
    }
    return index;
}

/* Does layers_to_transform, when it is set, hold the layer that the module is in? */
static int is_in_layers(peft_matcher *m, const char *module, bool *inside)
{
    int64_t index;
    slice digits = { 0 };

    *inside = m->layer_count == 0;
    for (size_t i = 0; i < m->layer_count && !*inside; i++)
        TRY(regex_try(m->layers[i], module, inside, &digits));
    if (!*inside || m->layer_count == 0)
        return LORAC_OK;
    index = parse_index(digits);
    *inside = false;
    for (size_t i = 0; i < m->config->layer_count; i++)
        *inside |= index >= 0 && m->config->layers[i] == index;
    return LORAC_OK;
}

static int is_target(peft_matcher *m, const char *module, bool is_head, bool *matches)
{
    if (m->all_linear) {
        *matches = !is_head;
        return LORAC_OK;
    }
    if (m->target)
        return regex_try(m->target, module, matches, NULL);
    /* A whole name is taken at its word; the layers' filter is for suffixes. */
    if (map_find(&m->targets, slice_of(module)) >= 0) {
        *matches = true;
        return LORAC_OK;
    }
    *matches = is_listed(&m->targets, module, NULL);
    return *matches ? is_in_layers(m, module, matches) : LORAC_OK;
}

/* The first pattern that fits gives the value; the later ones are tried only to know whether they are of any use. */
static int first_pattern(pattern_list *list, const char *module, size_t *first)
{
    *first = list->count;
    for (size_t i = 0; i < list->count; i++) {
        bool fits;

        if (*first < list->count && list->used[i])
            continue;
        TRY(regex_try(list->compiled[i], module, &fits, NULL));
        if (!fits)
            continue;
        list->used[i] = true;
        if (*first == list->count)
            *first = i;
    }
    return LORAC_OK;
}

int peft_matches(peft_matcher *m, const char *module, bool is_head, bool *matches, int64_t *rank, double *alpha)
{
    const peft_config *c = m->config;
    bool excluded;
    size_t first;

    *matches = false;
    *rank = c->r;
    *alpha = c->lora_alpha;
    TRY(is_excluded(m, module, &excluded));
    if (excluded || !*module)
        return LORAC_OK;
    TRY(is_target(m, module, is_head, matches));
    if (!*matches)
        return LORAC_OK;
    m->regex_used = true;
    is_listed(&m->targets, module, m->target_used);
    TRY(first_pattern(&m->ranks, module, &first));
    if (first < c->rank_count)
        *rank = c->rank_values[first];
    TRY(first_pattern(&m->alphas, module, &first));
    if (first < c->alpha_count)
        *alpha = c->alpha_values[first];
    return LORAC_OK;
}

static const char *first_unused(const bool *used, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!used[i])
            return names[i];
    }
    return NULL;
}

const char *peft_matcher_unused(const peft_matcher *m)
{
    const peft_config *c = m->config;
    const char *name = first_unused(m->target_used, c->targets, c->target_count);

    if (!name && c->target_regex && !m->regex_used)
        name = c->target_regex;
    if (!name)
        name = first_unused(m->ranks.used, c->rank_keys, c->rank_count);
    return name ? name : first_unused(m->alphas.used, c->alpha_keys, c->alpha_count);
}

/* ---- What is trained whole */

bool peft_saves(const peft_config *c, const char *module)
{
    for (const char *end = module + 1; *module; end++) {
        if (*end != '.' && *end)
            continue;
        for (size_t i = 0; i < c->saved_count; i++)
            if (*c->saved[i] && slice_ends((slice){ module, (size_t)(end - module) }, c->saved[i]))
                return true;
        if (!*end)
            break;
    }
    return false;
}

const peft_tokens *peft_tokens_of(const peft_config *c, const char *module, bool is_input_embedding)
{
    for (size_t i = 0; i < c->token_lists; i++) {
        const char *name = c->tokens[i].module;
        size_t n = strlen(module), m = name ? strlen(name) : 0;

        if (!name && is_input_embedding)
            return &c->tokens[i];
        if (name && n >= m && strcmp(module + n - m, name) == 0 && (n == m || module[n - m - 1] == '.'))
            return &c->tokens[i];
    }
    return NULL;
}

bool peft_names_an_end(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        slice last = slice_last(slice_of(names[i]), '.');

        if (slice_is(last, "embed_tokens") || slice_is(last, "lm_head"))
            return true;
    }
    return false;
}

bool peft_ties_ends(const peft_config *c)
{
    return c->ensure_weight_tying &&
           (peft_names_an_end(c->targets, c->target_count) || peft_names_an_end(c->saved, c->saved_count));
}

bool peft_same_tokens(const peft_tokens *x, const peft_tokens *y)
{
    return x->count == y->count && memcmp(x->ids, y->ids, x->count * sizeof *x->ids) == 0;
}

/* "Did you mean q_proj, v_proj?" by the last parts of the modules' names. */
static void suggest(buf *hint, const peft_config *c, const char *(*module)(const void *of, size_t i), const void *of,
                    size_t count)
{
    const char **last = mem_new(count, sizeof *last);
    bool any = false;

    for (size_t i = 0; i < count && last; i++)
        last[i] = slice_last(slice_of(module(of, i)), '.').p;
    for (size_t i = 0; i < c->target_count && last; i++) {
        const char *near = nearest_name(c->targets[i], last, count);

        if (near)
            buf_format(hint, "%s%s", any ? ", " : "Did you mean ", near);
        any |= near != NULL;
    }
    buf_text(hint, any ? "? " : "");
    buf_text(hint, "`lorac inspect MODEL` lists the modules");
    mem_free(last);
}

int peft_no_target(const peft_config *c, const char *(*module)(const void *of, size_t i), const void *of, size_t count)
{
    buf targets = { 0 }, hint = { 0 };
    int status;

    for (size_t i = 0; i < c->target_count; i++)
        buf_format(&targets, "%s%s", i ? "," : "", c->targets[i]);
    suggest(&hint, c, module, of, count);
    status = fail_at(
        LORAC_ERROR_USAGE,
        (fault){ .key = "target_modules",
                 .found = c->target_regex ? c->target_regex : targets.p,
                 .expected = "for instance q_proj,v_proj, all-linear or a regular expression over whole module paths",
                 .hint = hint.p },
        "the targets match no module of the model");
    buf_free(&targets);
    buf_free(&hint);
    return status;
}
