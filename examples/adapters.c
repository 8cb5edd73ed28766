/* adapters.c: two adapters on one model, from C: switch, mix them in one batch, merge, unmerge.
 *     adapters MODEL QUESTION ADAPTER OTHER */
#include <lorac.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 24 };

static lorac_text *text;
static lorac_session *session;
static int32_t *ids;
static size_t count;

static void check(lorac_status status)
{
    if (status == LORAC_OK)
        return;
    fprintf(stderr, "adapters: %s\n", lorac_last_error()->message);
    exit(status);
}

/* Prints what the model answers with the adapters that are in force. */
static void answer(const char *what)
{
    lorac_sequence *sequence;
    lorac_generation out;
    check(lorac_sequence_new(&sequence, session, NULL));
    check(lorac_generate(sequence, text, ids, count, TOKENS, NULL, NULL, NULL, &out));
    printf("%s: %s\n", what, out.utf8 + strspn(out.utf8, " \n"));
    lorac_free(out.ids);
    lorac_free(out.utf8);
    lorac_sequence_free(sequence);
}

/* One batch in which every row has an adapter of its own; prints each row's first token. */
static void mix(const lorac_adapters *set, const char *const names[3])
{
    lorac_sequence *rows[3];
    for (int i = 0; i < 3; i++) {
        check(lorac_sequence_new(&rows[i], session, NULL));
        check(lorac_sequence_use(rows[i], set, names[i]));
        check(lorac_sequence_append(rows[i], ids, count));
    }
    check(lorac_session_step(session));
    for (int i = 0; i < 3; i++) {
        printf("mixed, %s: token %d\n", names[i], (int)lorac_sequence_last(rows[i]));
        lorac_sequence_free(rows[i]);
    }
}

int main(int argc, char **argv)
{
    static const char *const both[] = { "first", "second" };
    lorac_model *model;
    lorac_adapters *set;
    char *status;
    if (argc != 5)
        return fprintf(stderr, "usage: adapters MODEL QUESTION ADAPTER OTHER\n"), LORAC_ERROR_USAGE;
    check(lorac_model_open(&model, argv[1], NULL));
    check(lorac_text_open(&text, argv[1], NULL));
    check(lorac_text_encode(text, argv[2], strlen(argv[2]), 1, &ids, &count));
    check(lorac_session_new(&session, model, NULL));
    check(lorac_adapters_new(&set, model));
    check(lorac_session_use(session, set));
    answer("base");

    check(lorac_load_adapter(set, argv[3], "first", 0));
    check(lorac_load_adapter(set, argv[4], "second", 0));
    check(lorac_set_adapter(set, &both[0], 1));
    answer("first");
    check(lorac_set_adapter(set, &both[1], 1));
    answer("second");
    mix(set, (const char *const[]){ "first", "second", "__base__" });

    check(lorac_set_adapter(set, both, 2));
    answer("both");
    check(lorac_merge_adapters(set, NULL, 0, 1));
    answer("merged");
    check(lorac_adapter_status(set, &status));
    printf("%s\n", status);
    lorac_unmerge_adapters(set);
    lorac_disable_adapters(set, 1);
    answer("disabled");

    lorac_free(status);
    lorac_free(ids);
    lorac_session_free(session);
    lorac_adapters_free(set);
    lorac_text_close(text);
    lorac_model_close(model);
    return 0;
}
