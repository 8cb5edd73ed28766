/* labels.c: id2label and label2id as transformers reads them: the number of labels is id2label's size, else num_labels,
 * else 2. */
#include "labels.h"

#include "err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_STANDARD = 2, LABELS_MOST = 1 << 16 };

static const char class_suffix[] = "ForSequenceClassification";

bool config_is_classifier(const json_t *config)
{
    const char *name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    return slice_ends(slice_of(name), class_suffix);
}

static int bad_label(const char *file, const char *key, const char *found, const char *expected)
{
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = key, .found = found, .expected = expected },
                   "the model's configuration names its labels wrongly");
}

static int add_number(label_set *l, const char *name, int64_t number)
{
    return map_add(&l->numbers, slice_of(name), number, NULL);
}

/* {"0": "NEGATIVE", "1": "POSITIVE"}: every number below the count once. */
static int read_names(label_set *l, const json_t *id2label, const char *file)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)id2label, key, value)
    {
        char *end;
        const long number = strtol(key, &end, 10);
        const char *name = json_string_value(value);
        if (!*key || *end || number < 0 || number >= l->count || l->names[number])
            return bad_label(file, "id2label", key, "the numbers from 0 on, each once");
        if (!name)
            return bad_label(file, "id2label", json_kind(value), "names");
        l->names[number] = arena_text(&l->memory, name, strlen(name));
        if (!l->names[number])
            return fail_memory();
    }
    return LORAC_OK;
}

static int read_numbers(label_set *l, const json_t *label2id, const char *file)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)label2id, key, value)
    {
        const json_int_t number = json_integer_value(value);
        if (!json_is_integer(value) || number < 0 || number >= l->count)
            return bad_label(file, "label2id", key, "each name with a number below the number of labels");
        const char *name = arena_text(&l->memory, key, strlen(key));
        if (!name)
            return fail_memory();
        TRY(add_number(l, name, number));
    }
    return LORAC_OK;
}

static int make_names(label_set *l)
{
    for (int64_t i = 0; i < l->count; i++) {
        l->names[i] = arena_format(&l->memory, "LABEL_%lld", (long long)i);
        if (!l->names[i])
            return fail_memory();
    }
    return LORAC_OK;
}

static int number_names(label_set *l)
{
    for (int64_t i = 0; i < l->count; i++)
        TRY(add_number(l, l->names[i], i));
    return LORAC_OK;
}

static int new_names(label_set *l, int64_t count)
{
    *l = (label_set){ .count = count,
                      .problem = count == 1 ? "regression" : NULL }; /* as transformers takes one label */
    l->names = arena_new(&l->memory, (size_t)count, sizeof *l->names);
    return l->names ? LORAC_OK : fail_memory();
}

static int read_problem(label_set *l, const json_t *config, const char *file)
{
    const char *problem = NULL;
    TRY(json_take_text(config, "problem_type", &problem, file));
    if (!problem || strcmp(problem, "single_label_classification") == 0)
        return LORAC_OK;
    l->problem = arena_text(&l->memory, problem, strlen(problem));
    return l->problem ? LORAC_OK : fail_memory();
}

static int read_all(label_set *l, const json_t *config, const char *file)
{
    const json_t *id2label = json_object_get(config, "id2label"), *label2id = json_object_get(config, "label2id");
    const size_t named = json_object_size(id2label);
    int64_t count = LABELS_STANDARD;
    if (named > LABELS_MOST)
        return bad_label(file, "id2label", "too many", "at most 65536 labels");
    if (config)
        TRY(json_take_int(config, "num_labels", 1, LABELS_MOST, &count, file));
    TRY(new_names(l, named ? (int64_t)named : count));
    TRY(named ? read_names(l, id2label, file) : make_names(l));
    TRY(json_object_size(label2id) ? read_numbers(l, label2id, file) : number_names(l));
    return config ? read_problem(l, config, file) : LORAC_OK;
}

int labels_read(label_set *out, const json_t *config, const char *file)
{
    *out = (label_set){ 0 };
    int status = read_all(out, config, file);
    if (status != LORAC_OK)
        labels_free(out);
    return status;
}

int labels_make(label_set *out, int64_t count)
{
    int status = new_names(out, count);
    if (status == LORAC_OK)
        status = make_names(out);
    if (status == LORAC_OK)
        status = number_names(out);
    if (status != LORAC_OK)
        labels_free(out);
    return status;
}

void labels_free(label_set *l)
{
    map_free(&l->numbers);
    arena_free(&l->memory);
    *l = (label_set){ 0 };
}

size_t class_position(const int32_t *ids, size_t count, int32_t pad)
{
    size_t last = count;
    while (last > 0 && ids[last - 1] == pad)
        last--;
    return last ? last - 1 : 0;
}
