/* tokenizer_json_unigram.c: the model "Unigram" of a tokenizer.json: "vocab", an array of [token, score] in the order
 * of the ids, "unk_id" and "byte_fallback". */
#include "tokenizer_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The shortest decimal digits that stand for the number, as files have them: `digits` times 10 to the `exponent`.
 * Behind the first digit stands the locale's point, whatever it is. */
static uint64_t shortest_digits(double number, int *exponent)
{
    char text[40];
    uint64_t digits = 0;
    snprintf(text, sizeof text, "%.15e", number);
    if (strtod(text, NULL) != number)
        snprintf(text, sizeof text, "%.16e", number);
    char *p = text;
    int count = 0;
    for (; *p != 'e'; p++) {
        if (*p < '0' || *p > '9')
            continue;
        digits = digits * 10 + (uint64_t)(*p - '0');
        count++;
    }
    *exponent = atoi(p + 1) - (count - 1);
    for (; digits && digits % 10 == 0; ++*exponent)
        digits /= 10;
    return digits;
}

/* The number as tokenizers reads it: its JSON reader makes a double of the digits and divides it by the power of ten,
 * which rounds twice. Which of two equally good ways to cut a word wins may hang on the last bit. */
static double as_read_by_peer(double number)
{
    enum { EXACT_POWERS = 22 };
    int exponent;
    double power = 1, digits = (double)shortest_digits(fabs(number), &exponent);
    if (number == 0 || abs(exponent) > EXACT_POWERS)
        return number;
    for (int i = 0; i < abs(exponent); i++)
        power *= 10;
    double read = exponent < 0 ? digits / power : digits * power;
    return number < 0 ? -read : read;
}

/* Added tokens stand behind the model's. */
static size_t count_new(const json_t *added, size_t count)
{
    size_t more = 0;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *id = json_object_get(json_array_get(added, i), "id");
        more += json_is_integer(id) && json_integer_value(id) >= (json_int_t)count;
    }
    return more;
}

static int read_token(tokenizer *t, part vocab, size_t id, double *score)
{
    const json_t *entry = json_array_get(vocab.json, id), *text = json_array_get(entry, 0),
                 *value = json_array_get(entry, 1);
    if (json_array_size(entry) != 2 || !json_is_string(text) || !json_is_number(value)) {
        part here;
        TRY(part_element(t, vocab, id, &here));
        return part_fail(t, here, "a token and its score were expected, as [\"token\", score]");
    }
    slice token = { json_string_value(text), json_string_length(text) };
    token.p = arena_text(&t->memory, token.p, token.n);
    if (!token.p)
        return fail_memory();
    *score = as_read_by_peer(json_number_value(value));
    return tokenizer_put(t, (int32_t)id, token, 0, vocab.place);
}

static int read_scores(tokenizer *t, part vocab, double *scores)
{
    size_t count = json_array_size(vocab.json);
    for (size_t id = 0; id < count; id++)
        TRY(read_token(t, vocab, id, &scores[id]));
    for (size_t id = count; id < (size_t)t->vocabulary.count; id++)
        scores[id] = NAN;
    return unigram_open(&t->model.unigram, &t->vocabulary, scores);
}

static int read_rest(tokenizer *t, part model)
{
    unknown_rule *rule = &t->model.unknown;
    int64_t id = -1;
    unknown_rule_open(rule, &t->vocabulary);
    TRY(part_bool(t, model, "byte_fallback", &rule->by_bytes));
    TRY(part_int(t, model, "unk_id", 0, t->vocabulary.count - 1, &id));
    rule->id = (int32_t)id;
    rule->fuse = rule->missed = true;
    return LORAC_OK;
}

int read_unigram(tokenizer *t, part model, const json_t *added)
{
    part vocab;
    TRY(part_member(t, model, "vocab", &vocab));
    size_t count = json_array_size(vocab.json);
    if (!count)
        return part_fail(t, vocab, "an array of tokens and their scores was expected");
    TRY(tokenizer_allocate(t, count + count_new(added, count)));
    t->model.kind = MODEL_UNIGRAM;
    double *scores = mem_new((size_t)t->vocabulary.count, sizeof *scores);
    int status = scores ? read_scores(t, vocab, scores) : fail_memory();
    mem_free(scores);
    return status == LORAC_OK ? read_rest(t, model) : status;
}
