/* generate.c: answer a question with a model and, if given, an adapter, from C.
 *     generate MODEL QUESTION [ADAPTER] */
#include <lorac.h>

#include <stdio.h>
#include <stdlib.h>

static int complain(void)
{
    fprintf(stderr, "generate: %s\n", lorac_last_error()->message);
    return lorac_last_error()->status;
}

/* The question as the model's chat template writes it, as ids. (A question with quotes in it would have to be escaped.)
 */
static lorac_status encode(const lorac_text *text, const char *question, int32_t **ids, size_t *count)
{
    char messages[4096], *prompt;
    size_t length;
    lorac_template_options options = { .add_generation_prompt = 1 };
    snprintf(messages, sizeof messages, "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}", question);
    lorac_status status = lorac_text_render(text, messages, &options, &prompt, &length);
    if (status != LORAC_OK)
        return status;
    status = lorac_text_encode(text, prompt, length, 0, ids, count);
    lorac_free(prompt);
    return status;
}

static int print_piece(void *user, const char *utf8, size_t length)
{
    return fwrite(utf8, 1, length, user) != length;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: generate MODEL QUESTION [ADAPTER]\n");
        return LORAC_ERROR_USAGE;
    }
    lorac_adapter_ref adapter = { argc > 3 ? argv[3] : NULL, 1 };
    lorac_run_options run = { .adapters = &adapter, .adapter_count = argc > 3 };
    lorac_sampling sampling;
    lorac_sampling_init(&sampling);

    lorac_model *model;
    lorac_text *text;
    lorac_session *session;
    lorac_sequence *sequence;
    int32_t *ids;
    size_t count;
    lorac_generation answer;
    if (lorac_model_open(&model, argv[1], NULL) != LORAC_OK || lorac_text_open(&text, argv[1], NULL) != LORAC_OK ||
        lorac_session_new(&session, model, &run) != LORAC_OK ||
        lorac_sequence_new(&sequence, session, &sampling) != LORAC_OK ||
        encode(text, argv[2], &ids, &count) != LORAC_OK ||
        lorac_generate(sequence, text, ids, count, 64, print_piece, stdout, NULL, &answer) != LORAC_OK)
        return complain();
    printf("\n[%zu tokens, %s, %.0f tokens/s]\n", answer.count, answer.finish_reason,
           answer.generation_tokens_per_second);

    lorac_free(answer.ids);
    lorac_free(answer.utf8);
    lorac_free(ids);
    lorac_session_free(session);
    lorac_text_close(text);
    lorac_model_close(model);
    return 0;
}
