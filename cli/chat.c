/* chat.c: lorac chat. The conversation is kept as messages; each turn renders all of it, and what the sequence has
 * seen already is not run again as long as the rendered ids still begin with it. */
#include "speaker.h"

#include <stdlib.h>
#include <string.h>

typedef struct conversation {
    arguments *a;
    speaker s;
    json_t *messages;
    lorac_sequence *sequence;
    int32_t *seen; /* ids that the sequence holds */
    size_t seen_count;
    char *answer; /* of this turn, as it comes */
    size_t answer_bytes;
} conversation;

static void forget_sequence(conversation *c)
{
    lorac_sequence_free(c->sequence);
    c->sequence = NULL;
    c->seen_count = 0;
}

static void reset(conversation *c)
{
    forget_sequence(c);
    json_decref(c->messages);
    c->messages = json_array();
    if (c->a->system)
        json_array_append_new(c->messages, json_pack("{s:s,s:o}", "role", "system", "content",
                                                     json_text(c->a->system, strlen(c->a->system))));
}

static void add_message(conversation *c, const char *role, const char *text, size_t length)
{
    json_array_append_new(c->messages, json_pack("{s:s,s:o}", "role", role, "content", json_text(text, length)));
}

static int on_piece(void *user, const char *utf8, size_t length)
{
    conversation *c = user;

    print_text(stdout, utf8, length);
    fflush(stdout);
    c->answer = grow(c->answer, c->answer_bytes + length + 1, 1);
    memcpy(c->answer + c->answer_bytes, utf8, length);
    c->answer_bytes += length;
    return 0;
}

static void remember(conversation *c, const int32_t *ids, size_t count)
{
    if (!count)
        return;
    c->seen = grow(c->seen, c->seen_count + count, sizeof *c->seen);
    memcpy(c->seen + c->seen_count, ids, count * sizeof *ids);
    c->seen_count += count;
}

/* Runs the part of `ids` that the sequence has not seen, and the answer to it. */
static int generate_answer(conversation *c, const int32_t *ids, size_t count)
{
    lorac_watch watch = { 0 };
    lorac_generation g = { 0 };
    int status = LORAC_OK;

    if (c->seen_count && (c->seen_count >= count || memcmp(c->seen, ids, c->seen_count * sizeof *ids) != 0))
        forget_sequence(c);
    if (!c->sequence)
        status = lorac_sequence_new(&c->sequence, c->s.session, &c->s.sampling);
    if (status == LORAC_OK) {
        interrupt_cancels(&watch);
        status = lorac_generate(c->sequence, c->s.text, ids + c->seen_count, count - c->seen_count, c->a->max_tokens,
                                on_piece, c, &watch, &g);
        interrupt_cancels(NULL);
    }
    if (status == LORAC_OK) {
        remember(c, ids + c->seen_count, count - c->seen_count);
        remember(c, g.ids, g.count);
    } else {
        forget_sequence(c); /* how much of the turn it holds is not known */
    }
    lorac_free(g.ids);
    lorac_free(g.utf8);
    return status;
}

/* An interrupted answer stays in the conversation as far as it came. */
static int take_turn(conversation *c, const char *line, size_t length)
{
    int32_t *ids = NULL;
    size_t count;
    int status;

    add_message(c, "user", line, length);
    status = speaker_render(c->a, &c->s, c->messages, &ids, &count);
    if (status != LORAC_OK) {
        json_array_remove(c->messages, json_array_size(c->messages) - 1);
        return status;
    }
    c->answer_bytes = 0;
    status = generate_answer(c, ids, count);
    lorac_free(ids);
    putchar('\n');
    if (status == LORAC_INTERRUPTED)
        status = LORAC_OK;
    if (status == LORAC_OK)
        add_message(c, "assistant", c->answer ? c->answer : "", c->answer_bytes);
    else
        report(c->a, status);
    return status;
}

static void print_chat_help(void)
{
    fputs("/reset  forget the conversation\n/help   this\n/exit   leave (or Ctrl-D)\nCtrl-C stops an answer.\n",
          stderr);
}

/* True when the line was one of ours; *leave is set by /exit. */
static bool chat_command(conversation *c, const char *line, bool *leave)
{
    if (line[0] != '/')
        return false;
    if (!strcmp(line, "/exit") || !strcmp(line, "/quit")) {
        *leave = true;
    } else if (!strcmp(line, "/reset")) {
        reset(c);
        note("The conversation is forgotten.");
    } else {
        if (strcmp(line, "/help") != 0)
            note("There is no command %s.", line);
        print_chat_help();
    }
    return true;
}

static int talk(conversation *c)
{
    char *line = NULL;
    size_t capacity = 0;
    bool leave = false, ask = is_terminal(stdin);
    int status = LORAC_OK;

    while (!leave && status == LORAC_OK) {
        ssize_t length;

        if (ask)
            fputs(has_colour(stderr) ? "\033[1m>\033[0m " : "> ", stderr);
        length = getline(&line, &capacity, stdin);
        if (length < 0)
            break;
        while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            line[--length] = '\0';
        if (length && !chat_command(c, line, &leave))
            status = take_turn(c, line, (size_t)length);
    }
    if (ask && !leave)
        fputc('\n', stderr);
    free(line);
    return status;
}

int command_chat(arguments *a)
{
    conversation c = { .a = a };
    int status = speaker_open(a, &c.s, true);

    if (status == LORAC_OK && !lorac_text_has_template(c.s.text))
        status = usage(a, "chat-template", "Give one with --chat-template FILE, or use lorac generate.",
                       "the model has no chat template");
    if (status == LORAC_OK) {
        reset(&c);
        if (is_terminal(stdin))
            note("Talk to %s. /help explains, Ctrl-D leaves.", a->train.model);
        status = talk(&c);
    }
    lorac_sequence_free(c.sequence);
    json_decref(c.messages);
    free(c.seen);
    free(c.answer);
    speaker_close(&c.s);
    return status;
}
